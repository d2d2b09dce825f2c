#![expect(clippy::disallowed_methods, reason = "names its request by the time")]
//! `manager restart`: asks the manager that runs in this container to restart a component in place.

use std::path::Path;
use std::time::SystemTime;

use crate::cli::RestartArgs;
use crate::error::Refusal;
use crate::request_pipe::{AskError, Asking, FOLDER};
use pod::exit_status::STATUS_UNAVAILABLE;

/// Longest name of a pod and a component together.
const LONGEST_NAME: usize = 512;

/// Ask, and wait until the component runs again, and is healthy where it has a health check.
///
/// # Errors
/// Where nobody can be asked, or the component does not come up again: with the reason.
pub async fn restart(args: RestartArgs) -> Result<String, Refusal> {
    restart_by(Path::new(FOLDER), &args.component).await
}

async fn restart_by(folder: &Path, wanted: &str) -> Result<String, Refusal> {
    let odd = |char: char| char.is_control() || char.is_whitespace();
    if wanted.is_empty() || wanted.len() > LONGEST_NAME || wanted.contains(odd) {
        return Err(Refusal::usage("valid is the name of a component, or `POD/NAME`"));
    }
    let unanswered = |error: AskError| Refusal { status: STATUS_UNAVAILABLE, words: error.to_string() };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let id = format!("{:x}-{:x}", std::process::id(), now.as_nanos());
    let asking = Asking::open(folder).map_err(unanswered)?;
    match asking.ask(&id, wanted).await.map_err(unanswered)? {
        Ok(words) => Ok(format!("{words}\n")),
        Err(words) => Err(Refusal { status: 1, words }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_manager_it_says_where_it_is_to_be_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let refusal = restart_by(&folder.path().join("none"), "app").await.expect_err("nobody is there");
        assert_eq!(refusal.status, 69);
        assert!(
            refusal.words.starts_with("no manager in this container takes requests: "),
            "{}",
            refusal.words
        );
        for name in ["", "a b", "a\nb"] {
            let refusal = restart_by(folder.path(), name).await.expect_err("no name");
            assert_eq!(
                (refusal.status, refusal.words.as_str()),
                (64, "valid is the name of a component, or `POD/NAME`")
            );
        }
    }
}
