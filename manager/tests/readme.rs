//! The README says what the program does.

use std::collections::BTreeMap;

use manager::exit;
use manager::pod::policy::Allowance;
use manager::pod::task::TaskContainer;
use manager::source::labels;
use manager::source::load::Disk;

const README: &str = include_str!("../../README.md");

/// The rows of the table that begins with this header.
fn table(header: &str) -> Vec<Vec<&'static str>> {
    let from = README.find(header).unwrap_or_else(|| panic!("no table `{header}`"));
    README[from..]
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
    assert_eq!(said, exit::TABLE);
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
    let rows = table("| `--allow` | lets components have |");
    let said: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(said, Allowance::ALL.map(Allowance::as_str));
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
