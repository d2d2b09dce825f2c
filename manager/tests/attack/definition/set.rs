//! A set of labels: what surrounds it, what it is after, and which words it meets.

use super::Placement;
use super::scene::Scene;
use crate::lab::pod::Pod;

/// `--policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Default,
    Baseline,
    Restricted,
}

impl Level {
    pub(super) const ALL: [Level; 3] = [Self::Default, Self::Baseline, Self::Restricted];

    pub(super) fn word(self) -> &'static str {
        match self {
            Level::Default => "default",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        }
    }
}

/// One row of the table.
pub(super) struct Case {
    pub(super) name: String,
    /// What it is after.
    pub(super) goal: &'static str,
    /// A part of the refusal under each policy; empty where the set is accepted.
    pub(super) said: [&'static str; 3],
    /// Placements in which the refusal is another.
    pub(super) except: Vec<(Placement, [&'static str; 3])>,
    /// Its pod can be one with those of others.
    pub(super) simple: bool,
    /// The engine does not run it: where it is accepted, its pod ends.
    pub(super) ends: bool,
    /// What is wrong with it only the engine tells, once the labels by themselves are right.
    pub(super) asks: bool,
    pub(super) make: Box<dyn Fn(&Scene) -> Attack + Send + Sync>,
}

/// A set of labels that is after something, refused with these words under each policy.
pub(super) fn case(
    name: impl Into<String>,
    goal: &'static str,
    said: [&'static str; 3],
    make: impl Fn(&Scene) -> Attack + Send + Sync + 'static,
) -> Case {
    let except = Vec::new();
    Case {
        name: name.into(),
        goal,
        said,
        except,
        simple: false,
        ends: false,
        asks: false,
        make: Box::new(make),
    }
}

/// The same of one component with nothing around it ([`Attack::is_simple`]).
pub(super) fn simple(
    name: impl Into<String>,
    goal: &'static str,
    said: [&'static str; 3],
    make: impl Fn(&Scene) -> Attack + Send + Sync + 'static,
) -> Case {
    Case { simple: true, ..case(name, goal, said, make) }
}

/// The same of one that mounts a volume: whose it is, and what it stands for, the engine tells.
pub(super) fn volume(
    name: impl Into<String>,
    goal: &'static str,
    said: [&'static str; 3],
    make: impl Fn(&Scene) -> Attack + Send + Sync + 'static,
) -> Case {
    Case { asks: true, ..simple(name, goal, said, make) }
}

impl Case {
    /// The same with other words where the manager is in another container.
    pub(super) fn outside(mut self, said: [&'static str; 3]) -> Case {
        self.except = vec![(Placement::Sibling, said), (Placement::Agent, said)];
        self
    }

    /// The same of what the engine does not run.
    pub(super) fn ends(self) -> Case {
        Case { ends: true, ..self }
    }

    /// The same with other words in one placement.
    pub(super) fn at(mut self, placement: Placement, said: [&'static str; 3]) -> Case {
        self.except.push((placement, said));
        self
    }

    pub(super) fn words(&self, kind: Kind) -> &'static str {
        let other = self.except.iter().find(|(placement, _)| *placement == kind.placement);
        other.map_or(self.said, |(_, said)| *said)[kind.level as usize]
    }
}

/// The same words under every policy.
pub(super) const fn always(words: &'static str) -> [&'static str; 3] {
    [words; 3]
}

/// Where and under what a set of labels is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) level: Level,
    pub(super) placement: Placement,
}

impl Kind {
    pub(super) fn all() -> Vec<Kind> {
        let of = |level| Placement::ALL.map(|placement| Kind { level, placement });
        Level::ALL.into_iter().flat_map(of).collect()
    }

    pub(super) fn word(self) -> String {
        format!("{}, {}", self.level.word(), self.placement.word())
    }
}

/// What shows that an attack works where nothing is in its way.
pub(super) enum Control {
    /// The same pod, with this given to the manager.
    Allow(Vec<String>),
    /// A plain container with these options of `docker run`: no word of `--allow` gives this.
    Plain(Vec<String>),
    /// There is none, or another case shows it.
    None(&'static str),
}

/// What becomes of a set that is accepted and reaches something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    /// It must not.
    No,
    /// The task container has the same, or the operator typed it.
    Given,
    /// SECURITY.md says that this is so.
    Orphan,
}

/// Whether something is so, as the host sees it.
pub(super) type Look = Box<dyn Fn(&Pod) -> bool>;
/// Something to do in a pod that runs.
pub(super) type Deed = Box<dyn Fn(&Pod)>;

/// A set of labels, what surrounds it, and how one sees what it reached.
pub(super) struct Attack {
    pub(super) labels: Vec<(String, String)>,
    /// Components that run where the set is accepted; the first one looks around.
    pub(super) components: Vec<String>,
    /// Options of `docker run` for the task container.
    pub(super) task: Vec<String>,
    /// The same for a manager that is in another container.
    pub(super) manager: Vec<String>,
    /// The manager's flags.
    pub(super) args: Vec<String>,
    /// A shell script for the component, which says `REACHED` and what.
    pub(super) probe: String,
    /// What is seen from the host.
    pub(super) host: Option<Look>,
    /// What is done once the pod runs.
    pub(super) then: Option<Deed>,
    pub(super) right: Right,
    pub(super) control: Control,
    /// Refused when containers are there already.
    pub(super) late: bool,
    /// A pod that runs before this one comes, or comes at the same time.
    pub(super) other: Option<(Box<Attack>, Order)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    First,
    AtOnce,
}

impl Attack {
    /// Without a component of its own.
    pub(super) fn bare() -> Attack {
        Attack {
            labels: Vec::new(),
            components: Vec::new(),
            task: Vec::new(),
            manager: Vec::new(),
            args: Vec::new(),
            probe: String::new(),
            host: None,
            then: None,
            right: Right::No,
            control: Control::None("nothing is reached without it"),
            late: false,
            other: None,
        }
    }

    /// With the component `app`.
    pub(super) fn new(keys: String) -> Attack {
        Self::bare().and("app", keys)
    }

    pub(super) fn and(mut self, name: &str, keys: String) -> Attack {
        self.components.push(name.to_owned());
        self.label(&format!("pod.component.{name}"), keys)
    }

    /// A component runs of which no label speaks: a file does.
    pub(super) fn runs(mut self, name: &str) -> Attack {
        self.components.push(name.to_owned());
        self
    }

    pub(super) fn label(mut self, key: &str, value: impl Into<String>) -> Attack {
        self.labels.push((key.to_owned(), value.into()));
        self
    }

    pub(super) fn task(mut self, options: &[&str]) -> Attack {
        self.task.extend(options.iter().map(|option| (*option).to_owned()));
        self
    }

    pub(super) fn manager(mut self, options: &[&str]) -> Attack {
        self.manager.extend(options.iter().map(|option| (*option).to_owned()));
        self
    }

    pub(super) fn args(mut self, args: &[&str]) -> Attack {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    pub(super) fn probe(mut self, script: String) -> Attack {
        self.probe.push_str(&script);
        self
    }

    pub(super) fn host(mut self, look: impl Fn(&Pod) -> bool + 'static) -> Attack {
        self.host = Some(Box::new(look));
        self
    }

    pub(super) fn then(mut self, act: impl Fn(&Pod) + 'static) -> Attack {
        self.then = Some(Box::new(act));
        self
    }

    pub(super) fn given(mut self) -> Attack {
        self.right = Right::Given;
        self
    }

    pub(super) fn remains(mut self) -> Attack {
        self.right = Right::Orphan;
        self
    }

    /// The control: these words of `--allow`, each by itself.
    pub(super) fn allow(mut self, items: &[&str]) -> Attack {
        self.control = Control::Allow(items.iter().map(|item| format!("--allow={item}")).collect());
        self
    }

    pub(super) fn plain(mut self, options: &[&str]) -> Attack {
        self.control = Control::Plain(options.iter().map(|option| (*option).to_owned()).collect());
        self
    }

    pub(super) fn no_control(mut self, why: &'static str) -> Attack {
        self.control = Control::None(why);
        self
    }

    pub(super) fn late(mut self) -> Attack {
        self.late = true;
        self
    }

    pub(super) fn after(mut self, first: Attack) -> Attack {
        self.other = Some((Box::new(first), Order::First));
        self
    }

    pub(super) fn at_once_with(mut self, other: Attack) -> Attack {
        self.other = Some((Box::new(other), Order::AtOnce));
        self
    }

    /// Its component can stand beside those of other attacks: nothing is around it but volumes that the operator named.
    pub(super) fn is_simple(&self) -> bool {
        let surrounded = !self.task.is_empty() || !self.manager.is_empty() || self.other.is_some();
        // What is named, and what lies in the scene's own folder, is nothing to others.
        let own = |arg: &String| {
            arg.starts_with("--allow=volumes=")
                || arg.starts_with(&format!("--allow=host-paths={}", std::env::temp_dir().display()))
        };
        let named = self.args.iter().all(own);
        let one = self.labels.len() == 1 && self.components == ["app"];
        one && named && !surrounded && self.then.is_none()
    }
}
