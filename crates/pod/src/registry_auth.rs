//! Private registries: who an image is asked for as, found the way `docker pull` finds it.

use std::fmt;

/// The key of Docker Hub in `auths`, as `docker login` writes it.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// Docker Hub, as it stands in front of an image.
const HUB: &str = "docker.io";
/// Hosts of Docker Hub in a key. Docker writes none of them, other tools and people do.
const HUB_HOSTS: [&str; 3] = ["index.docker.io", HUB, "registry-1.docker.io"];

/// What one registry lets somebody in with. Prints without what is secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credential {
    /// The key of the entry in `auths`.
    pub server: String,
    /// The user, which is no secret.
    pub user: String,
    /// The password.
    pub password: String,
    /// What `docker login` got in place of a password; it is exchanged for a token at each pull.
    pub identity_token: String,
    /// A token that is sent to the registry as it is.
    pub registry_token: String,
}

/// The credentials of each file, in the order in which they count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials(pub Vec<Vec<Credential>>);

impl Credential {
    /// Nothing to log in with: what `docker login` leaves where it put the password into a store.
    pub fn is_empty(&self) -> bool {
        let texts = [&self.user, &self.password, &self.identity_token, &self.registry_token];
        texts.iter().all(|text| text.is_empty())
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({} for {})", self.user, self.server)
    }
}

impl Credentials {
    /// Who to ask for this image as. In each file a key that is exactly the registry's counts before one that
    /// has the same host (`resolveAuthConfig` of the docker CLI), and of those the first in alphabetical order;
    /// a file that has neither leaves it to the next.
    pub fn of_image(&self, image: &str) -> Option<&Credential> {
        let registry = registry_of(image);
        let key = if registry == HUB { HUB_KEY } else { registry };
        self.0.iter().find_map(|file| {
            let exact = file.iter().find(|entry| entry.server == key);
            exact.or_else(|| {
                let same = file.iter().filter(|entry| is_of(host_of(&entry.server), registry));
                same.min_by_key(|entry| &entry.server)
            })
        })
    }
}

/// The registry that an image comes from (`splitDockerDomain` of Docker's `reference`): what is before the first
/// slash where that can be a host, else Docker Hub.
pub fn registry_of(image: &str) -> &str {
    let first = image.split_once('/').map(|(first, _)| first);
    match first {
        // A repository has no capitals.
        Some(host) if host.contains(['.', ':']) || host == "localhost" || host != host.to_lowercase() => {
            if host == "index.docker.io" {
                HUB
            } else {
                host
            }
        }
        _ => HUB,
    }
}

/// The host, with its port, of a key in `auths` (`ConvertToHostname` of the docker CLI): a scheme in front and a
/// path behind it do not count.
fn host_of(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

fn is_of(host: &str, registry: &str) -> bool {
    host == registry || (registry == HUB && HUB_HOSTS.contains(&host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(files: &[&[&str]]) -> Credentials {
        let entry = |key: &&str| Credential {
            server: (*key).to_owned(),
            user: "me".into(),
            password: "hunter2".into(),
            ..Credential::default()
        };
        Credentials(files.iter().map(|keys| keys.iter().map(entry).collect()).collect())
    }

    #[test]
    fn an_image_is_asked_for_as_docker_pull_would() {
        let hub = "https://index.docker.io/v1/";
        for (image, keys, want) in [
            // What Podlike looked for under `nginx`, `user` and `alpine:3`.
            ("nginx", &[hub][..], Some(hub)),
            ("nginx:1.13", &[hub], Some(hub)),
            ("alpine:3", &["alpine:3", hub], Some(hub)),
            ("user/img", &["user", hub], Some(hub)),
            ("user/img@sha256:12", &[hub], Some(hub)),
            ("docker.io/library/nginx", &[hub], Some(hub)),
            ("index.docker.io/user/img", &[hub], Some(hub)),
            ("nginx", &["reg.io"], None),
            // Not written by Docker, but meant.
            ("nginx", &["docker.io"], Some("docker.io")),
            ("nginx", &["https://index.docker.io/v2/"], Some("https://index.docker.io/v2/")),
            ("nginx", &["docker.io", hub], Some(hub)),
            ("reg.io:5000/a:1", &["reg.io:5000", "reg.io"], Some("reg.io:5000")),
            ("reg.io:5000/a:1", &["reg.io"], None),
            ("reg.io/a", &["reg.io:443"], None),
            ("reg.io/a/b/c:1", &["reg.io"], Some("reg.io")),
            ("reg.io/a", &["https://reg.io"], Some("https://reg.io")),
            ("reg.io/a", &["http://reg.io/v1/"], Some("http://reg.io/v1/")),
            ("reg.io:5000/a", &["https://reg.io:5000/v2/"], Some("https://reg.io:5000/v2/")),
            ("reg.io/a", &["reg.io/a"], Some("reg.io/a")),
            ("reg.io/a", &["https://reg.io/v2/", "reg.io", "http://reg.io"], Some("reg.io")),
            ("reg.io/a", &["https://reg.io/v2/", "http://reg.io"], Some("http://reg.io")),
            ("sub.reg.io/a", &["reg.io"], None),
            ("localhost/a", &["localhost"], Some("localhost")),
            ("localhost:5000/a", &["localhost:5000"], Some("localhost:5000")),
            ("Registry/a", &["Registry"], Some("Registry")),
            ("[::1]:5000/a", &["http://[::1]:5000"], Some("http://[::1]:5000")),
            ("registry-1.docker.io/a", &["registry-1.docker.io"], Some("registry-1.docker.io")),
            ("", &["reg.io"], None),
        ] {
            let found = credentials(&[keys]);
            let found = found.of_image(image).map(|entry| &*entry.server);
            assert_eq!(found, want, "`{image}` among {keys:?}");
        }
    }

    #[test]
    fn the_first_file_that_knows_the_registry_counts() {
        let both = credentials(&[&["https://reg.io"], &["reg.io", "other.io"]]);
        let server = |image| both.of_image(image).map(|entry| &*entry.server);
        assert_eq!(server("reg.io/a"), Some("https://reg.io"));
        assert_eq!(server("other.io/a"), Some("other.io"));
        assert_eq!(server("nginx"), None);
    }

    #[test]
    fn what_is_secret_is_not_printed() {
        let entry = Credential {
            server: "reg.io".into(),
            user: "me".into(),
            password: "hunter2".into(),
            identity_token: "hunter3".into(),
            registry_token: "hunter4".into(),
        };
        let printed = format!("{:?}", Credentials(vec![vec![entry]]));
        assert_eq!(printed, "Credentials([[Credential(me for reg.io)]])");
    }
}
