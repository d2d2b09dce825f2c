//! A Swarm of one node for the tests of stacks. The engine at hand is somebody's: it is not made a Swarm for a test, so
//! this one is a dockerd of its own.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::certificates;
use crate::engine::Engine;
use crate::lab::{Kind, Lab};
use crate::report::note;
use crate::workspace::Workspace;

/// Where it answers with TLS: Docker's own port for it.
const TLS_PORT: u16 = 2376;

/// An engine in swarm mode.
pub(crate) struct Swarm {
    /// `DOCKER_HOST` for it.
    pub(crate) host: String,
    /// Where ports that are published in host mode answer.
    pub(crate) address: String,
    /// Folders of certificates for its TLS port; none where it has no such port.
    pub(crate) certificates: Option<PathBuf>,
    /// Ours to stop.
    lab: Option<Lab>,
}

impl Swarm {
    /// Start one; where we may not, the engine at hand must be one.
    pub(crate) fn start(workspace: &Workspace, engine: &Engine) -> Result<Self> {
        if !Lab::possible() {
            return Self::at_hand(engine);
        }
        let certificates = workspace.own(&format!("certificates-{}", std::process::id()))?;
        certificates::make(&certificates)?;
        let engine_certificates = certificates.join("engine");
        let tls = Some((TLS_PORT, &*engine_certificates));
        let lab = Lab::start(workspace, &Kind { name: "swarm", nodes: 1, tls, ..Kind::default() })?;
        lab.swarm()?;
        let node = lab.nodes.first().context("invariant: one was asked for")?;
        let (host, address) = (node.host(), node.address.clone());
        note(&format!("swarm: {host} on {address}"));
        Ok(Swarm { host, address, certificates: Some(certificates), lab: Some(lab) })
    }

    /// Copy images from the engine at hand.
    pub(crate) fn load(&self, engine: &Engine, images: &[&str]) -> Result<()> {
        let images: Vec<String> = images.iter().map(|image| (*image).to_owned()).collect();
        self.lab.as_ref().map_or(Ok(()), |lab| lab.load(engine, &images))
    }

    /// The engine at hand, which somebody has made a Swarm.
    fn at_hand(engine: &Engine) -> Result<Self> {
        let state = "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}";
        if engine.ask(["info", "--format", state])? != "active true" {
            bail!(
                "the tests of stacks need a Swarm: run this as root where `dockerd` is installed, or make the engine \
                 one with `docker swarm init`"
            );
        }
        note("swarm: the engine at hand is one");
        Ok(Swarm {
            host: engine.host.clone(),
            address: "127.0.0.1".to_owned(),
            certificates: None,
            lab: None,
        })
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        drop(self.lab.take());
        if let Some(folder) = &self.certificates {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
