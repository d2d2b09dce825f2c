//! Every call that the manager makes of an engine: what a filter in front of the socket must let through.

/// One kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// `GET`, `POST`, ...
    pub method: &'static str,
    /// Path without the version; `*` stands for one part of it.
    pub path: &'static str,
    /// What it is for.
    pub purpose: &'static str,
}

/// All of them, by path.
pub const CALLS: &[Call] = &[
    call("GET", "/_ping", "the version of the API"),
    call("GET", "/containers/*/json", "what a container does; the labels of the task container"),
    call(
        "HEAD",
        "/containers/*/archive",
        "links on the way of files that a definition names; whether a store is filled",
    ),
    call("GET", "/containers/*/archive", "`pod.copy`, for a pod whose pause container is elsewhere"),
    call("PUT", "/containers/*/archive", "`pod.copy`, scratch volumes"),
    call(
        "POST",
        "/containers/*/attach",
        "the output of components (`--logs`); the line to a pause elsewhere; `manager debug`",
    ),
    call(
        "GET",
        "/containers/*/logs",
        "the last lines of a component that failed, and the first ones after a restart by others",
    ),
    call("POST", "/containers/*/exec", "hooks; secrets and configs"),
    call("POST", "/containers/*/resize", "the terminal of `manager debug`"),
    call("POST", "/containers/*/start", "start"),
    call("POST", "/containers/*/stop", "stop"),
    call(
        "POST",
        "/containers/*/wait",
        "how the container of `manager debug` ended; the end of another agent",
    ),
    call("DELETE", "/containers/*", "removal"),
    call("POST", "/containers/create", "components, sandbox and store; the lock of an agent"),
    call("GET", "/containers/json", "which containers the pod has, and what others on the node mount"),
    call("GET", "/events", "what happens to them"),
    call("GET", "/exec/*/json", "how a command ended"),
    call("POST", "/exec/*/start", "hooks; secrets and configs"),
    call("POST", "/images/create", "pulls"),
    call("GET", "/images/*/json", "health check, entrypoint and user of an image"),
    call("GET", "/info", "cgroups, the clock, where the engine keeps what it has"),
    call("GET", "/volumes", "what the volumes of the node stand for"),
    call("GET", "/volumes/*", "labels of a volume, and what it stands for"),
];

const fn call(method: &'static str, path: &'static str, purpose: &'static str) -> Call {
    Call { method, path, purpose }
}

/// This call is one of them. `target` is a path with or without a version before it and a query behind it.
pub fn listed(method: &str, target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = without_version(path).split('/').collect();
    CALLS.iter().filter(|call| call.method == method).any(|call| {
        let pattern: Vec<&str> = call.path.split('/').collect();
        let fits = |(one, other): (&&str, &&str)| *one == "*" && !other.is_empty() || one == other;
        pattern.len() == parts.len() && pattern.iter().zip(&parts).all(fits)
    })
}

/// `/v1.41/info` as `/info`; a path without a version as it is.
pub fn without_version(target: &str) -> &str {
    let rest =
        target.strip_prefix("/v").filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    rest.and_then(|rest| rest.find('/').map(|slash| &rest[slash..])).unwrap_or(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules of an HAProxy that lets these calls through and nothing else.
    fn haproxy_rules() -> String {
        let rule = |call: &Call| {
            let path = call.path.replace('*', "[^/]+").replace('.', "\\.");
            format!(
                "    # {}\n    http-request allow if {{ method {} }} {{ path_reg ^(/v[0-9]+\\.[0-9]+)?{path}$ }}\n",
                call.purpose, call.method
            )
        };
        CALLS.iter().map(rule).collect::<String>() + "    http-request deny\n"
    }

    #[test]
    fn what_is_not_on_the_list_is_not_listed() {
        for (method, target) in [
            ("GET", "/_ping"),
            ("GET", "/v1.41/containers/json?all=true"),
            ("GET", "/v1.53/containers/abc/json"),
            ("DELETE", "/containers/abc?force=true"),
            ("GET", "/images/reg%3A5000%2Fa%3A1/json"),
        ] {
            assert!(listed(method, target), "{method} {target}");
        }
        for (method, target) in [
            ("POST", "/build"),
            ("GET", "/containers/abc/top"),
            ("POST", "/v1.41/containers/abc/archive"),
            ("DELETE", "/containers/"),
            ("DELETE", "/volumes/abc"),
            ("POST", "/containers/abc/update"),
            ("GET", "/images"),
            ("GET", "/v1.41/../containers/json"),
            ("get", "/info"),
        ] {
            assert!(!listed(method, target), "{method} {target}");
        }
    }

    #[test]
    fn the_filter_of_the_example_lets_through_just_these() {
        let example = include_str!("../../../examples/socket-proxy/haproxy.cfg");
        assert!(example.contains(&haproxy_rules()), "its rules are not these:\n{}", haproxy_rules());
        assert_eq!(example.matches("http-request").count(), CALLS.len() + 1);
    }
}
