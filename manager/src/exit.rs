//! The one table of exit statuses; the README's is tested against it.

use crate::pod::plan::{STATUS_REFUSED, STATUS_UNAVAILABLE, STATUS_USAGE};

/// Each status that the manager gives of its own, and what it means. Any other is a component's.
pub const TABLE: &[(u8, &str)] = &[
    (0, "the pod ended as asked: a stop was requested, or the first component to end ended with 0"),
    (
        1,
        "a stop was requested while the pod was not healthy, also where it never came up: Swarm does so, and replaces what did not end with 0; or a component that others wait for turned unhealthy, or ended",
    ),
    (STATUS_USAGE, "the definition or the command line is wrong, or this is no place to run a pod"),
    (STATUS_UNAVAILABLE, "the engine does not answer"),
    (STATUS_REFUSED, "the engine refused: an image that cannot be had, a container that cannot be created"),
    (126, "a component's command cannot be executed"),
    (127, "a component's command was not found"),
    (137, "a component, the sandbox or the vault was killed (128 + signal number)"),
];
