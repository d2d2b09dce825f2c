#![expect(clippy::disallowed_methods, reason = "variables of a stack file are those of the caller")]
//! Every pod of a stack file, and why the other services are none.

use crate::cli::{Placement, command_of, run_args};
use crate::commands::check::answer::{Answer, Checked, Trouble};
use crate::commands::check::{Operator, StackText, judge, of_service};
use crate::error::Refusal;
use definition::diagnostic::one_line;
use definition::files::LocalFiles;
use definition::stack::{self, Entry, Program};
use pod::task_container::TaskContainer;

/// Check every pod of the stack file.
pub(super) async fn every_pod(path: &str, operator: &Operator) -> Result<Answer, Trouble> {
    let file = StackText::read(path)?;
    let mut answer = Answer::default();
    for entry in stack::services(&file.name, &file.text)? {
        let name = entry.name.clone();
        if let Some(why) = no_pod(&file, &entry) {
            answer.others.push((one_line(&name), why));
            continue;
        }
        let checked = match of_service(&file, &name) {
            Ok(subject) => judge(subject, operator).await,
            Err(trouble) => Checked::troubled(format!("the service `{name}` in {}", file.name), trouble),
        };
        answer.pods.push(Checked { service: Some(name), ..checked });
    }
    if answer.pods.is_empty() {
        let words = format!("there is no pod in {}: no service of it has labels `pod.*`", file.name);
        answer.refusal = Some(Refusal::usage(words).into());
    }
    Ok(answer)
}

/// Why a service is no pod; `None` where it is one.
fn no_pod(file: &StackText, entry: &Entry) -> Option<String> {
    if entry.labelled {
        return None;
    }
    if entry.templated {
        return Some(
            "its pod is made of `x-podlike` by `podlike template`: check the stack that it prints".to_owned(),
        );
    }
    let lookup = |name: &str| std::env::var(name).ok();
    let planned = stack::service(&file.name, &file.text, &entry.name, &lookup, &LocalFiles);
    // What is wrong with a service that is no pod is the stack's own.
    let task = planned.map(|(planned, _)| planned.task).unwrap_or_default();
    match Program::of(&task.image) {
        Some(Program::Manager) => managers(&task),
        Some(Program::Pause) => Some("a bare `pause` without labels `pod.*`".to_owned()),
        None => Some("no label `pod.*`".to_owned()),
    }
}

/// What a manager without labels of a pod is for; `None` where it would look for its own pod.
fn managers(task: &TaskContainer) -> Option<String> {
    match run_args(&task.command, &task.environment).map(|args| args.pod.placement) {
        Ok(Placement::Outside(which)) => Some(format!("a manager, of the pod of {which}")),
        Ok(_) if is_tandems(&task.image) => None,
        Ok(_) => Some("no label `pod.*`".to_owned()),
        Err(_) => match command_of(&task.command, &task.environment) {
            Some("agent") => Some("a manager, of the pods of its node (`agent`)".to_owned()),
            _ => Some("no label `pod.*`".to_owned()),
        },
    }
}

/// The image is the manager's beyond doubt: others may have a manager of something else in their names.
fn is_tandems(image: &str) -> bool {
    let name = image.split('@').next().unwrap_or_default();
    let name = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(name, _)| name);
    name == "tandem/manager" || name.ends_with("/tandem/manager")
}
