//! The answer to a check for programs: one JSON object. Pure; values that may be secrets do not appear.

use serde_json::{Value, json};

use crate::commands::check::answer::{Answer, Checked, Plan};
use definition::diagnostic::{Diagnostic, DiagnosticReport};
use pod::namespaces::Holder;
use pod::spec::{ComponentSpec, Condition, Restart};

/// The object, on lines of its own.
pub(crate) fn of(answer: &Answer) -> String {
    let others = answer.others.iter().map(|(service, reason)| json!({"service": service, "reason": reason}));
    let refusal = answer.refusal().map(|(report, words)| faults(report, &[words.to_owned()]));
    let value = json!({
        "status": answer.status(),
        "pods": answer.pods.iter().map(pod).collect::<Value>(),
        "no_pods": others.collect::<Value>(),
        "faults": refusal.unwrap_or_default(),
    });
    format!("{value:#}\n")
}

fn pod(pod: &Checked) -> Value {
    json!({
        "title": pod.title,
        "service": pod.service,
        "sound": pod.plan.is_some(),
        "warnings": pod.warnings,
        "faults": faults(pod.report.as_ref(), &pod.faults),
        "allow": pod.allow,
        "plan": pod.plan.as_ref().map(plan),
    })
}

/// The faults of a report with their places, then the others as they are.
fn faults(report: Option<&DiagnosticReport>, texts: &[String]) -> Vec<Value> {
    let placed = report.iter().flat_map(|report| &report.faults).map(placed);
    // The report's own text stands first.
    let others = texts.iter().skip(usize::from(report.is_some())).flat_map(|text| text.lines());
    placed.chain(others.map(unplaced)).collect()
}

fn placed(fault: &Diagnostic) -> Value {
    json!({
        "place": fault.origin.to_string(),
        "line": fault.at.map(|at| at.line),
        "column": fault.at.map(|at| at.column),
        "path": fault.path,
        "problem": fault.problem,
        "remedy": fault.remedy,
    })
}

/// The same keys where no more is known than the words.
fn unplaced(text: &str) -> Value {
    let nothing = Value::Null;
    json!({
        "place": nothing,
        "line": nothing,
        "column": nothing,
        "path": nothing,
        "problem": text,
        "remedy": nothing,
    })
}

fn plan(plan: &Plan) -> Value {
    let spec = &plan.spec;
    let holder = |holder: Option<Holder>| match holder {
        None => "component",
        Some(Holder::Sandbox) => "sandbox",
        Some(Holder::Task) => "task",
    };
    let unseen = plan.unseen_checks().into_iter();
    json!({
        "network": if plan.host_network { "host" } else { "task" },
        "pids": holder(spec.namespaces.pid),
        "ipc": holder(spec.namespaces.ipc),
        "limits": limits(plan.limits.memory_bytes, plan.limits.nano_cpus, plan.limits.pids),
        "stop_ms": plan.spec.stop_timeout.as_millis(),
        "service_stop_ms": plan.service_grace.map(|grace| grace.as_millis()),
        "init": spec.init.iter().map(component).collect::<Value>(),
        "components": spec.components.iter().map(component).collect::<Value>(),
        "not_checked": {
            "files": plan.files,
            "health_checks": unseen.map(|(image, _)| image).collect::<Value>(),
        },
    })
}

fn component(member: &ComponentSpec) -> Value {
    let container = &member.container;
    let depends_on = member.depends_on.iter().map(|on| {
        let condition = match on.condition {
            Condition::Started => "service_started",
            Condition::Healthy => "service_healthy",
            Condition::Completed => "service_completed_successfully",
        };
        json!({
            "component": on.on,
            "condition": condition,
            "required": on.required,
            "restart": on.restart,
        })
    });
    let program = |words: &Option<Vec<String>>| words.as_deref().map(crate::commands::check::text::program);
    json!({
        "name": member.name,
        "pre_start_of": member.pre_start_of,
        "image": container.image,
        "entrypoint": program(&container.entrypoint),
        "command": program(&container.command),
        "user": container.user,
        "depends_on": depends_on.collect::<Value>(),
        "limits": limits(container.memory_bytes, container.nano_cpus, container.pids_limit),
        "stop_ms": member.stop_grace.map(|grace| grace.as_millis()),
        "sidecar": member.sidecar,
        "essential": member.essential,
        "restart": restart(member.restart),
    })
}

/// As it is written in a definition.
fn restart(restart: Restart) -> String {
    match restart {
        Restart::Never => "no".to_owned(),
        Restart::Always => "always".to_owned(),
        Restart::UnlessStopped => "unless-stopped".to_owned(),
        Restart::OnFailure(None) => "on-failure".to_owned(),
        Restart::OnFailure(Some(most)) => format!("on-failure:{most}"),
    }
}

fn limits(memory_bytes: Option<i64>, nano_cpus: Option<i64>, pids: Option<i64>) -> Value {
    json!({"memory_bytes": memory_bytes, "nano_cpus": nano_cpus, "pids": pids})
}
