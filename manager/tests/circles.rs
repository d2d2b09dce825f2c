//! No two files import each other, in any number of steps: who reads one file need not know the others that read it. A
//! folder's `mod.rs`, `pub use` and tests are not looked at.
#![allow(clippy::disallowed_methods, reason = "reads the sources")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The crates that are held to it.
const CRATES: [&str; 2] = ["crates/pod", "manager"];

/// A module by its path in the crate; for each module that it imports, the names that tie them.
type Imports = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The sources of a crate by module; `mod.rs` is the folder's.
fn sources(folder: &Path, module: &str, all: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        let inner = if module.is_empty() { name.clone() } else { format!("{module}::{name}") };
        if path.is_dir() {
            sources(&path, &inner, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let here =
                if ["mod", "lib", "main"].contains(&name.as_str()) { module.to_owned() } else { inner };
            let text = fs::read_to_string(&path).expect("a source");
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
            all.insert(here, lines.collect::<Vec<_>>().join("\n"));
        }
    }
}

/// Every path of a `use` tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(tree: &str) -> Vec<String> {
    let Some((head, rest)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let body = rest.rsplit_once('}').map_or(rest, |(body, _)| body);
    let (mut parts, mut depth, mut part) = (Vec::new(), 0, String::new());
    for char in body.chars() {
        depth += i32::from(char == '{') - i32::from(char == '}');
        if char == ',' && depth == 0 {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(char);
        }
    }
    parts.push(part);
    let inner = parts.iter().filter(|part| !part.trim().is_empty()).flat_map(|part| paths(part));
    inner.map(|path| format!("{}{path}", head.trim())).collect()
}

/// The paths that a file names: those of its `use` lines, and those that begin with `crate` or `super` elsewhere.
fn named(code: &str) -> Vec<String> {
    let mut all = Vec::new();
    for statement in code.split(';') {
        let start = statement.rfind("\nuse ").map(|at| at + 1).or(statement.starts_with("use ").then_some(0));
        match start {
            Some(at) => all.extend(paths(&statement[at + 4..].replace('\n', " "))),
            None if statement.contains("pub use ") => {}
            None => {
                let word = |char: char| char.is_alphanumeric() || "_:".contains(char);
                let words = statement.split(|char: char| !word(char));
                let ours = words.filter(|word| word.starts_with("crate::") || word.starts_with("super::"));
                all.extend(ours.map(str::to_owned));
            }
        }
    }
    all
}

/// The path in the crate that a path means in this module, where it is one of the crate.
fn resolved(path: &str, module: &str) -> Option<Vec<String>> {
    let mut segments: Vec<&str> = path.split("::").map(str::trim).collect();
    let mut base: Vec<&str> = module.split("::").filter(|segment| !segment.is_empty()).collect();
    match segments[0] {
        "crate" => base.clear(),
        "super" | "self" => {
            while let Some("super" | "self") = segments.first().copied() {
                if segments.remove(0) == "super" {
                    base.pop();
                }
            }
            base.extend(&segments);
            return Some(base.into_iter().map(str::to_owned).collect());
        }
        _ => return None,
    }
    Some(segments[1..].iter().map(|segment| (*segment).to_owned()).collect())
}

fn imports(folder: &Path) -> Imports {
    let mut all = BTreeMap::new();
    sources(folder, "", &mut all);
    let is_folder = |module: &str| all.keys().any(|other| other.starts_with(&format!("{module}::")));
    let read = all
        .iter()
        .filter(|(module, _)| !module.is_empty() && !is_folder(module) && !module.contains("tests"));
    read.map(|(module, code)| {
        let mut ties: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for path in named(code).iter().filter_map(|path| resolved(path, module)) {
            let longest = (1..=path.len()).rev().find(|length| all.contains_key(&path[..*length].join("::")));
            let Some(length) = longest else { continue };
            let target = path[..length].join("::");
            if target != *module && !is_folder(&target) {
                ties.entry(target).or_default().insert(path[length..].join("::"));
            }
        }
        (module.clone(), ties)
    })
    .collect()
}

/// A way from this module back to itself.
fn circle(imports: &Imports, start: &str) -> Option<Vec<String>> {
    let (mut ways, mut seen) = (vec![vec![start.to_owned()]], BTreeSet::new());
    while let Some(way) = ways.pop() {
        for next in imports.get(way.last()?).into_iter().flat_map(BTreeMap::keys) {
            if next == start {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                ways.push([&way[..], std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}

#[test]
fn no_two_files_import_each_other() {
    for name in CRATES {
        let imports = imports(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src"));
        assert!(imports.len() > 20 && imports.values().any(|ties| !ties.is_empty()), "{name} has been read");
        for start in imports.keys() {
            let Some(way) = circle(&imports, start) else { continue };
            let steps = way.iter().zip(way.iter().cycle().skip(1)).map(|(from, to)| {
                format!(
                    "{from} -> {to}: {}",
                    imports[from][to].iter().cloned().collect::<Vec<_>>().join(", ")
                )
            });
            panic!("a circle in {name}:\n{}", steps.collect::<Vec<_>>().join("\n"));
        }
    }
}

#[test]
fn use_lines_are_read_as_the_compiler_does() {
    assert_eq!(paths("a::{b, c::{d, e as f}}"), ["a::b", "a::c::d", "a::c::e as f"]);
    let code =
        "use super::x::Y;\nuse crate::{a, b::C};\npub use crate::not::Me;\nfn f() { super::g::h(); }\n";
    assert_eq!(named(code), ["super::x::Y", "crate::a", "crate::b::C", "super::g::h"]);
    let path = |path, module| resolved(path, module).map(|path| path.join("::"));
    assert_eq!(path("super::x::Y", "run::pod"), Some("run::x::Y".into()));
    assert_eq!(path("crate::a", "run::pod"), Some("a".into()));
    assert_eq!(path("std::fmt", "run::pod"), None);
    let ties = |from: &str, to: &str| (from.to_owned(), [(to.to_owned(), BTreeSet::new())].into());
    let imports: Imports = [ties("a", "b"), ties("b", "c"), ties("c", "b")].into();
    assert_eq!(circle(&imports, "a"), None);
    assert_eq!(circle(&imports, "b"), Some(vec!["b".into(), "c".into()]));
}
