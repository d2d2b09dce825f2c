//! The dependency graph.

use std::collections::BTreeMap;

use super::spec::ComponentSpec;

/// A cycle among `depends_on`, as the names along it, the first repeated at the end; `None` where
/// there is none. Dependencies on names that are not among `components` are passed over.
pub fn cycle(components: &[ComponentSpec]) -> Option<Vec<String>> {
    let by_name: BTreeMap<&str, &ComponentSpec> =
        components.iter().map(|component| (component.name.as_str(), component)).collect();
    // Depth first with the path kept by hand: a definition may nest deeper than the stack.
    let mut done: BTreeMap<&str, bool> = BTreeMap::new();
    for root in by_name.keys() {
        if done.contains_key(root) {
            continue;
        }
        let mut path: Vec<(&str, usize)> = vec![(root, 0)];
        done.insert(root, false);
        while let Some((name, next)) = path.last_mut() {
            let dependencies = &by_name[name].depends_on;
            let Some(dependency) = dependencies.get(*next) else {
                done.insert(name, true);
                path.pop();
                continue;
            };
            *next += 1;
            let on = dependency.on.as_str();
            if !by_name.contains_key(on) {
                continue;
            }
            match done.get(on) {
                Some(true) => {}
                None => {
                    done.insert(on, false);
                    path.push((on, 0));
                }
                Some(false) => {
                    let start = path.iter().position(|(name, _)| *name == on).unwrap_or(0);
                    let names = path[start..].iter().map(|(name, _)| (*name).to_owned());
                    return Some(names.chain([on.to_owned()]).collect());
                }
            }
        }
    }
    None
}

/// The components that depend on `name` directly.
pub fn dependents<'a>(
    components: &'a [ComponentSpec],
    name: &'a str,
) -> impl Iterator<Item = &'a ComponentSpec> {
    components
        .iter()
        .filter(move |component| component.depends_on.iter().any(|dependency| dependency.on == name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Condition, Dependency};

    fn graph(edges: &[(&str, &[&str])]) -> Vec<ComponentSpec> {
        edges
            .iter()
            .map(|(name, on)| ComponentSpec {
                name: (*name).into(),
                depends_on: on
                    .iter()
                    .map(|on| Dependency {
                        on: (*on).into(),
                        condition: Condition::Started,
                        required: true,
                        restart: false,
                    })
                    .collect(),
                ..ComponentSpec::default()
            })
            .collect()
    }

    #[test]
    fn a_chain_and_a_diamond_have_no_cycle() {
        assert_eq!(cycle(&graph(&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"]), ("d", &[])])), None);
    }

    #[test]
    fn a_cycle_is_named_from_its_first_member_without_what_leads_to_it() {
        let found = cycle(&graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["d"]), ("d", &["b"])]));
        assert_eq!(found, Some(vec!["b".into(), "c".into(), "d".into(), "b".into()]));
    }

    #[test]
    fn a_component_that_waits_for_itself_is_a_cycle() {
        assert_eq!(cycle(&graph(&[("a", &["a"])])), Some(vec!["a".into(), "a".into()]));
    }

    #[test]
    fn a_dependency_on_nothing_is_passed_over() {
        assert_eq!(cycle(&graph(&[("a", &["nowhere"])])), None);
    }

    #[test]
    fn a_chain_of_ten_thousand_does_not_overflow_the_stack() {
        let names: Vec<String> = (0..10_000).map(|number| format!("c{number:05}")).collect();
        let components: Vec<ComponentSpec> = names
            .windows(2)
            .map(|pair| {
                let mut component = graph(&[(&pair[0], &[&pair[1]])]);
                component.remove(0)
            })
            .collect();
        assert_eq!(cycle(&components), None);
    }

    #[test]
    fn dependents_are_those_that_name_it() {
        let components = graph(&[("a", &["c"]), ("b", &["a"]), ("c", &[])]);
        let names: Vec<&str> =
            dependents(&components, "c").map(|component| component.name.as_str()).collect();
        assert_eq!(names, ["a"]);
    }
}
