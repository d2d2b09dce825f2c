//! The README and the pages of the reference say what the program does.

use std::collections::BTreeMap;

use definition::files::{Disk, FileFault, FileKind, Files, MOST_FILES, MOST_WRITTEN_BYTES};
use definition::{labels, policy_file};
use pod::bounds::{BOUNDS, Bound};
use pod::exit_status;
use pod::policy::{Allowance, DEFAULT_MAX_COMPONENTS, LARGEST_MAX_COMPONENTS, Level, words};
use pod::task_container::TaskContainer;

const README: &str = include_str!("../../README.md");
const POLICY: &str = include_str!("../../docs/reference/policy.md");
const LIMITS: &str = include_str!("../../docs/reference/limits.md");

/// The controls of the level *baseline* (`k8s.io/pod-security-admission`, `policy/check_*.go`).
const BASELINE: [&str; 12] = [
    "appArmorProfile",
    "capabilities_baseline",
    "hostNamespaces",
    "hostPathVolumes",
    "hostPorts",
    "hostProbesAndHostLifecycle",
    "privileged",
    "procMount",
    "seLinuxOptions",
    "seccompProfile_baseline",
    "sysctls",
    "windowsHostProcess",
];

/// The controls that the level *restricted* adds.
const RESTRICTED: [&str; 7] = [
    "allowPrivilegeEscalation",
    "capabilities_restricted",
    "procMount_restricted",
    "restrictedVolumes",
    "runAsNonRoot",
    "runAsUser",
    "seccompProfile_restricted",
];

/// A task container whose only file has this text.
struct OneFile(&'static str);

impl Files for OneFile {
    fn kind(&self, _: &str) -> Result<FileKind, FileFault> {
        Ok(FileKind::File)
    }

    fn read(&self, _: &str) -> Result<Vec<u8>, FileFault> {
        Ok(self.0.as_bytes().to_vec())
    }
}

/// The rows of the README's table with this header.
fn table(header: &str) -> Vec<Vec<&'static str>> {
    table_of(README, header)
}

/// The rows of the first table of a page with this header.
fn table_of(page: &'static str, header: &str) -> Vec<Vec<&'static str>> {
    let from = page.find(header).unwrap_or_else(|| panic!("no table `{header}`"));
    page[from..]
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

#[test]
fn the_exit_statuses_are_those_of_the_code() {
    let said: Vec<(u8, &str)> =
        table("| status | meaning |").iter().map(|row| (row[0].parse().expect("a number"), row[1])).collect();
    assert_eq!(said, exit_status::TABLE);
}

#[test]
fn the_flags_are_those_of_the_code() {
    let help =
        manager::cli::parse(["/manager", "run", "--help"].map(Into::into)).expect_err("help").to_string();
    let rows = table("| flag | variable | default | does |");
    for row in &rows {
        let flag = row[0].trim_matches('`').split(['[', ' ']).next().expect("a flag");
        let variable = row[1].trim_matches('`');
        assert!(help.contains(flag), "{flag} is not in --help");
        // What runs no pod is a flag alone.
        let variable = if variable.is_empty() { String::new() } else { format!("[env: {variable}=") };
        assert!(help.contains(&variable), "{variable} is not in --help");
    }
    let in_code = help.lines().filter(|line| line.trim_start().starts_with("--")).count();
    // TLS is told in the row of the engine's address.
    assert_eq!(rows.len() + 2, in_code, "{help}");
}

#[test]
fn what_can_be_allowed_is_that_of_the_code() {
    let in_code: Vec<String> = words().collect();
    for (name, page) in [("README.md", README), ("policy.md", POLICY)] {
        let rows = table_of(page, "| `--allow` | lets components have |");
        let written: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
        let (valued, bare): (Vec<&str>, Vec<&str>) = written.iter().partition(|word| word.contains('='));
        assert_eq!(bare, Allowance::ALL.map(Allowance::as_str), "{name}");
        let with_value: Vec<&String> = in_code.iter().filter(|word| word.contains('=')).collect();
        assert_eq!(valued, with_value, "{name}");
    }
}

#[test]
fn commands_in_the_managers_container_are_written_one_way() {
    for command in ["restart", "status", "debug"] {
        assert!(
            !README.contains(&format!(" /manager {command}")),
            "{command}: it is in the PATH of its image"
        );
        assert!(README.contains(&format!("manager {command}")), "{command}");
    }
}

#[test]
fn the_lines_of_pause_are_excepted_from_json() {
    let about = README.split("### Logs for machines").nth(1).and_then(|rest| rest.split("\n#").next());
    let about = about.expect("a section");
    assert!(about.contains("`pause` itself writes plain lines, which begin with `pause: `"), "{about}");
}

#[test]
fn the_levels_of_the_policy_are_those_of_the_code() {
    let rows = table_of(POLICY, "| `--policy` | components get |");
    let written: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(written, Level::ALL.map(Level::as_str));
    for (name, page) in [("README.md", README), ("policy.md", POLICY)] {
        assert!(page.contains("`strict` is an older spelling of `baseline`"), "{name}");
    }
    assert_eq!(Level::of("strict"), Some(Level::Baseline));
}

#[test]
fn the_policy_file_of_each_page_is_valid_and_has_every_key() {
    for (name, page) in [("README.md", README), ("policy.md", POLICY)] {
        let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let mut blocks = blocks.filter(|block| block.starts_with("policy: "));
        let block = blocks.next().unwrap_or_else(|| panic!("no policy file in {name}"));
        let policy = policy_file::read(&OneFile(block), "/policy.yml");
        let policy = policy.unwrap_or_else(|words| panic!("{name}: {words}")).expect("it is at hand");
        assert_eq!(policy.level, Level::Baseline, "{name}");
        assert!(!policy.allowed.flag().is_empty(), "{name}");
        assert!(!policy.registries.is_empty() && !policy.services.is_empty(), "{name}");
    }
}

#[test]
fn the_page_on_the_policy_has_every_control_of_the_pod_security_standards() {
    const HEADER: &str = "| control | Kubernetes | Tandem checks | deviation and reason |";
    let restricted = POLICY.find("### Restricted").expect("the level");
    for (page, controls) in [(POLICY, &BASELINE[..]), (&POLICY[restricted..], &RESTRICTED)] {
        let rows = table_of(page, HEADER);
        // Rows in brackets are Tandem's own.
        let names = rows.iter().map(|row| row[0].trim_matches('`')).filter(|name| !name.starts_with('('));
        assert_eq!(names.collect::<Vec<_>>(), controls);
        assert!(rows.iter().all(|row| row.len() == 4 && !row[3].is_empty()));
    }
}

#[test]
fn the_page_on_limits_has_every_floor_and_ceiling_of_the_code() {
    let rows = table_of(LIMITS, "| key | counted | valid | why | lifted by |");
    let written: Vec<String> = rows.iter().map(|row| row.join(" | ")).collect();
    let lifted = |bound: &Bound| match bound.lifted_by {
        Some(what) => format!("`--allow {}`", what.as_str()),
        None => String::new(),
    };
    let in_code: Vec<String> = BOUNDS
        .iter()
        .map(|bound| {
            let key = format!("`{}`", bound.key);
            [&key, bound.counted, &bound.valid(), bound.why, &lifted(bound)].join(" | ")
        })
        .collect();
    assert_eq!(written, in_code, "\n{}\n", in_code.join("\n"));
    for number in [
        DEFAULT_MAX_COMPONENTS.to_string(),
        format!("up to {LARGEST_MAX_COMPONENTS}"),
        format!("{} MiB in all", MOST_WRITTEN_BYTES >> 20),
        MOST_FILES.to_string(),
    ] {
        assert!(LIMITS.contains(&number), "{number}");
    }
}

#[test]
fn the_keys_of_a_component_are_those_of_the_code() {
    let rows = table("| key | forms |");
    let mut said: Vec<&str> =
        rows.iter().flat_map(|row| row[0].split(", ")).map(|key| key.trim_matches('`')).collect();
    said.sort_unstable();
    let in_code: Vec<&str> = labels::component_keys().collect();
    assert_eq!(said, in_code);
}

#[test]
fn the_stack_to_copy_is_a_valid_pod() {
    let block = README.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a stack");
    let stack: serde_yaml::Value = serde_yaml::from_str(block).expect("valid YAML");
    let labels: BTreeMap<String, String> =
        serde_yaml::from_value(stack["services"]["web"]["labels"].clone()).expect("labels");
    // Its config is at the place of any file that is there.
    let labels = labels
        .into_iter()
        .map(|(key, value)| (key, value.replace("/etc/tandem/nginx.conf", "/etc/hostname")))
        .collect();
    let task = TaskContainer { labels, ..TaskContainer::default() };
    let (definition, _) = labels::definition(&task, &Disk, None).unwrap_or_else(|report| panic!("{report}"));
    let names: Vec<&str> = definition.components.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["app", "proxy"]);
}
