//! README.md and the pages of `docs/` describe what the program does, their links lead somewhere, and their examples are valid.
#![allow(clippy::disallowed_methods, reason = "tests read the documentation")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use definition::files::{FileFault, FileKind, Files, LocalFiles, MOST_FILES, MOST_WRITTEN_BYTES};
use definition::{labels, policy_file};
use pod::bounds::{BOUNDS, Bound};
use pod::exit_status;
use pod::policy::{Allowance, DEFAULT_MAX_COMPONENTS, LARGEST_MAX_COMPONENTS, Level, words};
use pod::task_container::{TaskContainer, TaskMount};
use pod::testing::{BASELINE_CONTROLS, RESTRICTED_CONTROLS};
use serde_yaml::Value;

const README: &str = include_str!("../../README.md");
const COMPONENTS: &str = include_str!("../../docs/reference/components.md");
const DAILY_LIFE: &str = include_str!("../../docs/daily-life.md");
const EXIT_CODES: &str = include_str!("../../docs/reference/exit-codes.md");
const FLAGS: &str = include_str!("../../docs/reference/flags.md");
const LIMITS: &str = include_str!("../../docs/reference/limits.md");
const POLICY: &str = include_str!("../../docs/reference/policy.md");
const SWARM: &str = include_str!("../../docs/guides/swarm.md");
const TROUBLESHOOTING: &str = include_str!("../../docs/guides/troubleshooting.md");

/// README.md is for a reader with ten minutes.
const MOST_LINES_OF_README: usize = 200;

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

/// The rows of the first table of a page with this header.
fn table(page: &'static str, header: &str) -> Vec<Vec<&'static str>> {
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
    let said: Vec<(u8, &str)> = table(EXIT_CODES, "| status | meaning |")
        .iter()
        .map(|row| (row[0].parse().expect("a number"), row[1]))
        .collect();
    assert_eq!(said, exit_status::TABLE);
}

#[test]
fn the_flags_are_those_of_the_code() {
    let help =
        manager::cli::parse(["/manager", "run", "--help"].map(Into::into)).expect_err("help").to_string();
    let rows = table(FLAGS, "| flag | variable | default | does |");
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
    let in_code: BTreeSet<String> = words().collect();
    let rows = table(POLICY, "| `--allow` | lets components have |");
    let written: Vec<String> = rows.iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    let bare: Vec<&str> = written.iter().map(String::as_str).filter(|word| !word.contains('=')).collect();
    assert_eq!(bare, Allowance::ALL.map(Allowance::as_str));
    assert_eq!(written.iter().cloned().collect::<BTreeSet<_>>(), in_code);
    assert_eq!(written.len(), in_code.len(), "each once");
}

#[test]
fn commands_in_the_managers_container_are_written_one_way() {
    for command in ["restart", "status", "debug"] {
        for page in pages() {
            let text = fs::read_to_string(&page).expect("a page");
            let path = format!(" /manager {command}");
            assert!(!text.contains(&path), "{}: {command}: it is in the PATH of its image", page.display());
        }
        assert!(DAILY_LIFE.contains(&format!("manager {command}")), "{command}");
    }
}

#[test]
fn the_lines_of_pause_are_excepted_from_json() {
    let about = FLAGS.split("## Logs for machines").nth(1).and_then(|rest| rest.split("\n#").next());
    let about = about.expect("a section");
    assert!(about.contains("`pause` itself writes plain lines, which begin with `pause: `"), "{about}");
}

#[test]
fn the_levels_of_the_policy_are_those_of_the_code() {
    let rows = table(POLICY, "| `--policy` | components get |");
    let written: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(written, Level::ALL.map(Level::as_str));
    for (name, page) in [("flags.md", FLAGS), ("policy.md", POLICY)] {
        assert!(page.contains("`strict` is an older spelling of `baseline`"), "{name}");
    }
    assert_eq!(Level::of("strict"), Some(Level::Baseline));
}

#[test]
fn the_policy_file_of_the_page_is_valid_and_has_every_key() {
    let block = blocks(POLICY, "yaml").find(|block| block.starts_with("policy: ")).expect("a policy file");
    let policy = policy_file::read(&OneFile(block), "/policy.yml");
    let policy = policy.unwrap_or_else(|words| panic!("{words}")).expect("it is at hand");
    assert_eq!(policy.level, Level::Baseline);
    assert!(!policy.allowed.flag().is_empty());
    assert!(!policy.registries.is_empty() && !policy.services.is_empty());
}

#[test]
fn the_page_on_the_policy_has_every_control_of_the_pod_security_standards() {
    const HEADER: &str = "| control | Kubernetes | Tandem checks | deviation and reason |";
    let restricted = POLICY.find("### Restricted").expect("the level");
    for (page, controls) in [(POLICY, &BASELINE_CONTROLS[..]), (&POLICY[restricted..], &RESTRICTED_CONTROLS)]
    {
        let rows = table(page, HEADER);
        // Rows in brackets are Tandem's own.
        let names = rows.iter().map(|row| row[0].trim_matches('`')).filter(|name| !name.starts_with('('));
        assert_eq!(names.collect::<Vec<_>>(), controls);
        assert!(rows.iter().all(|row| row.len() == 4 && !row[3].is_empty()));
    }
}

#[test]
fn the_page_on_limits_has_every_floor_and_ceiling_of_the_code() {
    let rows = table(LIMITS, "| key | counted | valid | why | lifted by |");
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
    let rows = table(COMPONENTS, "| key | forms |");
    let mut said: Vec<&str> =
        rows.iter().flat_map(|row| row[0].split(", ")).map(|key| key.trim_matches('`')).collect();
    said.sort_unstable();
    let in_code: Vec<&str> = labels::component_keys().collect();
    assert_eq!(said, in_code);
}

#[test]
fn the_stack_to_copy_is_a_valid_pod() {
    let block = blocks(SWARM, "yaml").next().expect("a stack");
    let stack: Value = serde_yaml::from_str(block).expect("valid YAML");
    let labels: BTreeMap<String, String> =
        serde_yaml::from_value(stack["services"]["web"]["labels"].clone()).expect("labels");
    // Its config is at the place of any file that is there.
    let labels = labels
        .into_iter()
        .map(|(key, value)| (key, value.replace("/etc/tandem/nginx.conf", "/etc/hostname")))
        .collect();
    let task = TaskContainer { labels, ..TaskContainer::default() };
    let (definition, _) =
        labels::definition(&task, &LocalFiles, None).unwrap_or_else(|report| panic!("{report}"));
    let names: Vec<&str> = definition.components.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["app", "proxy"]);
}

/// Every file that a definition may name is there; a Compose file has one service.
struct Anything;

impl Files for Anything {
    fn kind(&self, _: &str) -> Result<FileKind, FileFault> {
        Ok(FileKind::File)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
        let text = if path.ends_with("compose.yml") { "services: {app: {image: example/app}}" } else { "" };
        Ok(text.as_bytes().to_vec())
    }
}

/// The pods of a stack or Compose file, with their labels and the mounts that the text names.
fn pods(stack: &Value) -> Vec<TaskContainer> {
    let services = stack["services"].as_mapping().into_iter().flatten();
    services
        .filter_map(|(name, service)| {
            let labels: BTreeMap<String, String> = serde_yaml::from_value(service["labels"].clone()).ok()?;
            let volumes: Vec<String> = serde_yaml::from_value(service["volumes"].clone()).unwrap_or_default();
            let mounts = volumes.iter().filter_map(|volume| {
                let mut parts = volume.split(':');
                let (source, target) = (parts.next()?, parts.next()?);
                let bind = source.starts_with('/');
                Some(TaskMount {
                    kind: if bind { "bind" } else { "volume" }.into(),
                    source: source.to_owned(),
                    driver: "local".into(),
                    volume: (!bind).then(|| source.to_owned()),
                    target: target.to_owned(),
                    writable: parts.next() != Some("ro"),
                    ..TaskMount::default()
                })
            });
            let (name, mounts) = (name.as_str()?.to_owned(), mounts.collect());
            let pod = TaskContainer { name, mounts, labels, ..TaskContainer::default() };
            pod.labels.keys().any(|key| key.starts_with("pod.")).then_some(pod)
        })
        .collect()
}

/// The labels of a block that is part of a definition: labels, or one component.
fn part(block: &str) -> Option<BTreeMap<String, String>> {
    if block.starts_with("image: ") {
        let others = ["app", "db"].map(|name| (name, "image: example/app\nhealthcheck: {test: ./healthy}\n"));
        let parts = others.into_iter().chain([("tested", block)]);
        return Some(parts.map(|(name, text)| (format!("pod.component.{name}"), text.to_owned())).collect());
    }
    let mut labels: BTreeMap<String, String> = serde_yaml::from_str(block).ok()?;
    if labels.keys().any(|label| !label.starts_with("pod.")) {
        return None;
    }
    let others: Vec<String> =
        labels.keys().filter_map(|label| label.strip_prefix("pod.copy.")).map(Into::into).collect();
    let others = others.into_iter().chain(["other".to_owned()]);
    for label in others.map(|name| format!("pod.component.{name}")) {
        labels.entry(label).or_insert_with(|| "image: example/app".to_owned());
    }
    Some(labels)
}

#[test]
fn every_stack_component_and_label_of_the_documentation_is_valid() {
    let (mut stacks, mut parts) = (0, 0);
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for block in blocks(&text, "yaml") {
            let value: Value = serde_yaml::from_str(block)
                .unwrap_or_else(|error| panic!("{}: {error} in\n{block}", page.display()));
            let whole = value.get("services").is_some_and(|services| !services.is_null());
            let tasks = match (whole, part(block)) {
                (true, _) => pods(&value),
                (false, Some(labels)) => vec![TaskContainer { labels, ..TaskContainer::default() }],
                (false, None) => Vec::new(),
            };
            *if whole { &mut stacks } else { &mut parts } += tasks.len();
            for task in tasks {
                let read = labels::definition(&task, &Anything, Some("/var/run/docker.sock"));
                read.unwrap_or_else(|report| panic!("{}: {report}\nin\n{block}", page.display()));
            }
        }
    }
    assert!(stacks >= 12 && parts >= 8, "{stacks} stacks and {parts} parts");
}

/// The labels of a `docker run`, each written as `--label NAME='VALUE'`.
fn run_labels(command: &str) -> TaskContainer {
    let labels = command.split("--label ").skip(1).map(|rest| {
        let (name, value) = rest.split_once("='").expect("a value in quotes");
        (name.to_owned(), value.split('\'').next().expect("its end").to_owned())
    });
    TaskContainer { labels: labels.collect(), ..TaskContainer::default() }
}

#[test]
fn each_docker_run_of_the_documentation_does_what_the_text_says() {
    let runs = |page: &'static str| {
        blocks(page, "sh").filter(|block| block.contains("--label ")).collect::<Vec<_>>()
    };
    let [pod, broken] = runs(README)[..] else { panic!("README.md runs a pod, and one that is broken") };
    let getting_started = include_str!("../../docs/getting-started.md");
    let rootless = include_str!("../../docs/guides/rootless.md");
    for command in [pod].into_iter().chain(runs(getting_started)).chain(runs(rootless)) {
        let read = labels::definition(&run_labels(command), &LocalFiles, None);
        read.unwrap_or_else(|report| panic!("{report}\nin\n{command}"));
    }
    let report = labels::definition(&run_labels(broken), &LocalFiles, None).expect_err("faults").to_string();
    let shown = blocks(README, "text").find(|block| block.contains(" ERROR ")).expect("the report");
    let (_, shown) = shown.split_once(" ERROR ").expect("it begins with time and level");
    assert_eq!(shown.trim_end(), report.trim_end());
}

#[test]
fn readme_is_short() {
    let lines = README.lines().count();
    assert!(lines <= MOST_LINES_OF_README, "{lines} lines: move text to a page of docs/");
}

#[test]
fn the_index_of_readme_has_every_page() {
    let root = root();
    for page in pages_below(&root.join("docs")) {
        let path = page.strip_prefix(&root).expect("below").display().to_string();
        assert!(README.contains(&format!("]({path})")), "{path} is not in the index");
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository")
}

fn pages_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(pages_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// All pages that a reader of the repository meets.
fn pages() -> Vec<PathBuf> {
    let root = root();
    let top = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(|name| root.join(name));
    let below = ["docs", "examples"].into_iter().flat_map(|folder| pages_below(&root.join(folder)));
    top.into_iter().chain(below).collect()
}

/// The blocks of code in this language.
fn blocks<'a>(page: &'a str, language: &str) -> impl Iterator<Item = &'a str> {
    let fence = format!("```{language}\n");
    let starts: Vec<usize> = page.match_indices(&fence).map(|(at, _)| at + fence.len()).collect();
    starts.into_iter().map(|at| page[at..].split("\n```").next().expect("its end"))
}

/// The text without blocks and spans of code, in which nothing is a heading or a link.
fn prose(page: &str) -> String {
    let mut in_block = false;
    let lines = page.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        in_block ^= fence;
        !in_block && !fence
    });
    lines.map(|line| line.to_owned() + "\n").collect()
}

/// The anchors that GitHub gives to the headings of a page.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let text = prose(page);
    let headings = text.lines().filter(|line| line.starts_with('#')).filter_map(|line| line.split_once(' '));
    headings
        .map(|(_, heading)| {
            let kept = heading.chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char));
            let slug: String = kept.flat_map(char::to_lowercase).collect::<String>().replace(' ', "-");
            let times = seen.entry(slug.clone()).or_default();
            *times += 1;
            if *times == 1 { slug } else { format!("{slug}-{}", *times - 1) }
        })
        .collect()
}

/// The targets of the links and pictures of a page.
fn targets(page: &str) -> Vec<String> {
    let text = prose(page);
    let spans = text.split('`').step_by(2).collect::<Vec<_>>().join("code");
    let links = spans.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let pictures = [" src=\"", " srcset=\""].into_iter().flat_map(|name| text.split(name).skip(1));
    let pictures = pictures.filter_map(|rest| rest.split('"').next());
    links.chain(pictures).map(str::to_owned).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let mut broken = Vec::new();
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for target in targets(&text) {
            if target.contains("://") {
                continue;
            }
            count += 1;
            let (path, anchor) =
                target.split_once('#').map_or((&*target, None), |(path, anchor)| (path, Some(anchor)));
            let file =
                if path.is_empty() { page.clone() } else { page.parent().expect("a folder").join(path) };
            let found = match anchor {
                None => file.exists(),
                Some(anchor) => fs::read_to_string(&file).is_ok_and(|text| anchors(&text).contains(anchor)),
            };
            if !found {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(count > 200, "{count} links");
}

#[test]
fn anchors_are_those_of_github() {
    let page = "# A `code`, and more\n## --volumes\n```sh\n# no heading\n```\n## post_start and pre_stop\n## Limits\n## Limits\n";
    let all = ["--volumes", "a-code-and-more", "limits", "limits-1", "post_start-and-pre_stop"];
    assert_eq!(anchors(page), all.map(str::to_owned).into());
}

/// The texts of the programs, each on one line and without backquotes.
fn sources() -> String {
    fn below(folder: &Path, all: &mut String) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                below(&path, all);
            } else {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let code = text.split("#[cfg(test)]\nmod tests {").next().expect("code");
                let mut lines = code.lines();
                while let Some(line) = lines.next() {
                    // A text goes on in the next line.
                    let mut whole = line.to_owned();
                    while let Some(begun) = whole.strip_suffix('\\') {
                        whole = begun.to_owned() + lines.next().unwrap_or_default().trim_start();
                    }
                    *all += &whole;
                    all.push('\n');
                }
            }
        }
    }
    let mut all = String::new();
    for folder in ["crates/pod/src", "crates/definition/src", "crates/engine/src", "manager/src", "pause/src"]
    {
        below(&root().join(folder), &mut all);
    }
    all.replace('`', "")
}

#[test]
fn the_messages_of_troubleshooting_are_those_of_the_code() {
    let sources = sources();
    let messages: Vec<&str> = TROUBLESHOOTING
        .lines()
        .filter_map(|line| line.strip_prefix("### `"))
        .map(|line| line.trim_end_matches('`'))
        .collect();
    assert!(messages.len() > 60, "{}", messages.len());
    // A message without words of its own would be found anywhere.
    let words = |message: &str| message.split("...").map(|part| part.trim().len()).max().unwrap_or_default();
    let unknown: Vec<&str> = messages
        .into_iter()
        .filter(|message| {
            words(message) < 9 || message.split("...").any(|part| !sources.contains(part.trim()))
        })
        .collect();
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}
