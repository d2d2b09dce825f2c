#![expect(clippy::disallowed_methods, reason = "looks at the sockets of the engine and of D-Bus")]
//! A last look before a component starts: does one of its mounts lead to the engine, or to what runs the host, after all?
//! What a path of the host is called tells nothing of the links in it; the engine follows them, and can be asked where
//! they end.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use futures_util::future::try_join_all;

use crate::engine::{Engine, EngineError};
use crate::pod::policy::{Allowance, Policy};
use crate::pod::spec::{Mount, MountSource};

/// Where a socket that gives the engine away lies below a folder that somebody mounts.
const ENGINE: &[&str] = &[
    "containerd.sock",
    "containerd/containerd.sock",
    "docker.sock",
    "docker/containerd/containerd.sock",
    "run/containerd/containerd.sock",
    "run/docker.sock",
    "swarm/control.sock",
];

/// The same of the sockets that lead to systemd.
const SERVICES: &[&str] = &[
    "dbus/system_bus_socket",
    "run/dbus/system_bus_socket",
    "run/systemd/private",
    "system_bus_socket",
    "systemd/private",
];

const TO_ENGINE: &str = "the engine's socket";
const TO_SERVICES: &str = "D-Bus or systemd";

/// Knows a socket that gives the host away when it sees it.
#[derive(Debug, Clone, Default)]
pub struct Sentry {
    /// Below a folder, and to what each leads.
    below: Vec<(String, &'static str)>,
    /// By themselves.
    known: Vec<(PathBuf, &'static str)>,
}

impl Sentry {
    /// For what this policy does not allow. `socket` is the engine's, and `bus` that of D-Bus, where the manager has them;
    /// `host_socket` is where the engine's is on the host.
    pub fn new(
        policy: &Policy,
        socket: Option<&Path>,
        host_socket: Option<&str>,
        bus: Option<&Path>,
    ) -> Self {
        // By whatever name, and below its folder too.
        let own = |path: &str| {
            path.rmatch_indices('/').take(2).map(|(at, _)| path[at + 1..].to_owned()).collect::<Vec<_>>()
        };
        let mut sentry = Self::default();
        for (what, below, own, path, words) in [
            (Allowance::EngineSocket, ENGINE, host_socket.map(own), socket, TO_ENGINE),
            (Allowance::HostPaths, SERVICES, None, bus, TO_SERVICES),
        ] {
            if !policy.allows(what) {
                let below = below.iter().map(|path| (*path).to_owned());
                sentry.below.extend(below.chain(own.into_iter().flatten()).map(|path| (path, words)));
                sentry.known.extend(path.map(|path| (path.to_owned(), words)));
            }
        }
        sentry
    }

    /// Why the container must not start with these mounts; `None` where it may.
    ///
    /// # Errors
    /// Where the engine does not tell.
    pub async fn against<E: Engine>(
        &self,
        engine: &E,
        id: &str,
        mounts: &[Mount],
    ) -> Result<Option<String>, EngineError> {
        // No other socket was made in the same nanosecond.
        let made_at = |path: &PathBuf| {
            let meta = std::fs::metadata(path).ok()?;
            Some(meta.mtime() * 1_000_000_000 + meta.mtime_nsec())
        };
        let known = self.known.iter().filter_map(|(path, words)| Some((made_at(path)?, *words)));
        let known: Vec<(i64, &str)> = known.collect();
        let looks = mounts.iter().map(|mount| async {
            let of_the_host = match &mount.source {
                MountSource::Bind { .. } => true,
                MountSource::Volume { name: Some(name), .. } => engine.volume_device(name).await?.is_some(),
                MountSource::Volume { .. } | MountSource::Scratch(_) | MountSource::Tmpfs { .. } => false,
            };
            if !of_the_host {
                return Ok(None);
            }
            let found = self.leads_to(engine, id, &mount.target, &known).await?;
            Ok(found.map(|what| (&mount.target, what)))
        });
        let found = try_join_all(looks).await?;
        Ok(found.into_iter().flatten().next().map(|(target, what)| {
            format!(
                "what is mounted at `{target}` leads to {what} by a link on the host: no component may reach it, which \
                 would give it the whole node"
            )
        }))
    }

    /// The socket that gives the host away at this path of a container, or below it. Looks into folders alone: the
    /// engine has no answer for a path through a file.
    async fn leads_to<E: Engine>(
        &self,
        engine: &E,
        id: &str,
        target: &str,
        known: &[(i64, &'static str)],
    ) -> Result<Option<&'static str>, EngineError> {
        let mut folders = vec![String::new()];
        match engine.stat(id, target).await? {
            Some(file) if file.socket => {
                let same = known.iter().find(|(made_at, _)| *made_at == file.changed_at);
                return Ok(same.map(|(_, what)| *what));
            }
            Some(file) if file.folder => {}
            _ => return Ok(None),
        }
        while let Some(folder) = folders.pop() {
            let below = self.below.iter().filter_map(|(path, _)| path.strip_prefix(folder.as_str()));
            let names: BTreeSet<&str> = below.filter_map(|rest| rest.split('/').next()).collect();
            let looks = names.into_iter().map(|name| {
                let path = format!("{folder}{name}");
                async move { Ok((engine.stat(id, &format!("{target}/{path}")).await?, path)) }
            });
            for (file, path) in try_join_all(looks).await? {
                match file {
                    Some(file) if file.socket => {
                        if let Some((_, what)) = self.below.iter().find(|(below, _)| *below == path) {
                            return Ok(Some(what));
                        }
                    }
                    Some(file) if file.folder => folders.push(format!("{path}/")),
                    _ => {}
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::FileStat;
    use crate::engine::fake::Fake;

    /// What the sentry has against a mount at `/x`, where the engine finds these sockets below it.
    async fn against(sentry: &Sentry, source: MountSource, sockets: &[&str]) -> Option<String> {
        let engine = Fake::default();
        engine.stand_for("bound", "/srv/link");
        for socket in sockets {
            let path = format!("/x/{socket}");
            for (at, _) in path.match_indices('/').skip(1) {
                engine.put(&path[..at], FileStat { folder: true, ..FileStat::default() });
            }
            engine.put(&path, FileStat { socket: true, ..FileStat::default() });
        }
        let mount = Mount { target: "/x".into(), read_only: true, source };
        sentry.against(&engine, "id", &[mount]).await.expect("an answer")
    }

    #[tokio::test]
    async fn a_socket_below_a_link_is_found_by_the_names_that_engines_give_it() {
        let sentry = Sentry::new(&Policy::default(), None, Some("/srv/engine/d.sock"), None);
        let leads = async |socket: &str| against(&sentry, MountSource::bind("/srv/link"), &[socket]).await;
        for socket in [
            "docker.sock",
            "run/docker.sock",
            "containerd.sock",
            "swarm/control.sock",
            "d.sock",
            "engine/d.sock",
        ] {
            assert!(leads(socket).await.is_some_and(|words| words.contains(TO_ENGINE)), "{socket}");
        }
        assert!(leads("systemd/private").await.is_some_and(|words| words.contains(TO_SERVICES)));
        for socket in ["other.sock", "srv/engine/d.sock", "control.sock", "d.sock/d.sock"] {
            assert_eq!(leads(socket).await, None, "{socket}");
        }
        let allowed = Policy { strict: false, allowed: [Allowance::EngineSocket].into() };
        let sentry = Sentry::new(&allowed, None, Some("/srv/engine/d.sock"), None);
        assert_eq!(against(&sentry, MountSource::bind("/srv/link"), &["d.sock"]).await, None);
    }

    #[tokio::test]
    async fn a_volume_that_stands_for_a_path_of_the_host_is_looked_at_as_a_bind_is() {
        let sentry = Sentry::new(&Policy::default(), None, None, None);
        for (source, found) in [
            (MountSource::bind("/srv/link"), true),
            (MountSource::volume(Some("bound".into())), true),
            (MountSource::volume(Some("plain".into())), false),
            (MountSource::volume(None), false),
        ] {
            let words = against(&sentry, source.clone(), &["docker.sock"]).await;
            assert_eq!(words.is_some(), found, "{source:?}");
        }
    }
}
