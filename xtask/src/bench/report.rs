//! Figures: their medians, what is wanted of them, and how they are shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

/// The names of our own side.
const OURS: [&str; 2] = ["tandem", "agent"];

/// What is wanted of a figure.
#[derive(Clone)]
pub(super) enum Goal {
    /// At most so much.
    AtMost(f64),
    /// At most so many times as much as this one.
    Times(f64, String),
    /// At most so many times as much as the best of the others.
    BestTimes(f64),
    /// At least this share of the best of the others, where more is better.
    BestShare(f64),
}

/// Several ways of doing one thing, each measured a few times.
pub(super) struct Figure {
    pub(super) part: String,
    pub(super) what: String,
    pub(super) unit: String,
    how: String,
    /// What it is a point of, and where: a plot's name, and how many.
    pub(super) grows: Option<(String, f64)>,
    all: BTreeMap<String, Vec<f64>>,
    pub(super) goals: Vec<Goal>,
}

impl Figure {
    pub(super) fn new(part: &str, what: &str, unit: &str, how: &str) -> Self {
        Figure {
            part: part.to_owned(),
            what: what.to_owned(),
            unit: unit.to_owned(),
            how: how.to_owned(),
            grows: None,
            all: BTreeMap::new(),
            goals: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, way: &str, value: f64) {
        self.all.entry(way.to_owned()).or_default().push(value);
    }

    /// What was measured once more.
    pub(super) fn add_all(&mut self, more: &Figure) {
        for (way, values) in &more.all {
            self.all.entry(way.clone()).or_default().extend(values);
        }
    }

    /// A line of the programs in `manager/benches`.
    pub(super) fn read(line: &str) -> Result<Self> {
        let said: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let text = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
        let mut figure = Figure::new(&text("part"), &text("what"), &text("unit"), &text("how"));
        for (way, values) in said["all"].as_object().context("no values")? {
            for value in values.as_array().into_iter().flatten().filter_map(Value::as_f64) {
                figure.add(way, value);
            }
        }
        let grows = &said["grows"];
        for goal in said["goals"].as_array().into_iter().flatten() {
            figure.goals.extend(goal["at_most"].as_f64().map(Goal::AtMost));
            if let (Some(times), Some(of)) = (goal["times"].as_f64(), goal["of"].as_str()) {
                figure.goals.push(Goal::Times(times, of.to_owned()));
            }
        }
        figure.grows = grows["plot"].as_str().map(str::to_owned).zip(grows["at"].as_f64());
        Ok(figure)
    }

    /// The middle of each way, ours first.
    pub(super) fn medians(&self) -> Vec<(&str, f64)> {
        let all = self.all.iter().map(|(way, values)| (way.as_str(), median(values)));
        let (mut ours, others): (Vec<_>, Vec<_>) = all.partition(|(way, _)| OURS.contains(way));
        ours.extend(others);
        ours
    }

    /// What is wanted, what it is, and whether that is met.
    pub(super) fn verdicts(&self) -> Vec<(String, bool)> {
        let medians = self.medians();
        let Some(&(_, ours)) = medians.first() else { return Vec::new() };
        let of = |name: &str| medians.iter().find(|(way, _)| *way == name).map(|(_, value)| *value);
        let others = || medians[1..].iter().map(|(_, value)| *value);
        let verdict = |goal: &Goal| match goal {
            Goal::AtMost(most) => Some((format!("≤ {} {}", short(*most), self.unit), ours <= *most)),
            Goal::Times(times, name) => {
                let is = ours / of(name)?;
                Some((format!("≤ {} × {name}: {}", short(*times), short(is)), is <= *times))
            }
            Goal::BestTimes(times) => {
                let is = ours / others().fold(f64::INFINITY, f64::min);
                Some((format!("≤ {} × the best: {}", short(*times), short(is)), is <= *times))
            }
            Goal::BestShare(share) => {
                let is = ours / others().fold(0.0, f64::max);
                Some((format!("≥ {} × the best: {}", short(*share), short(is)), is >= *share))
            }
        };
        self.goals.iter().filter_map(verdict).collect()
    }

    pub(super) fn json(&self) -> Value {
        let medians: Map<String, Value> =
            self.medians().into_iter().map(|(way, value)| (way.to_owned(), json!(value))).collect();
        let goals: Vec<Value> =
            self.verdicts().into_iter().map(|(goal, met)| json!({"goal": goal, "met": met})).collect();
        json!({
            "part": self.part, "what": self.what, "unit": self.unit, "how": self.how, "median": medians,
            "all": self.all, "goals": goals,
        })
    }

    fn line(&self) -> String {
        let medians = self.medians();
        let said = |(way, value): &(&str, f64)| format!("{way} {}", short(*value));
        let ours = medians.first().map(|(_, value)| short(*value)).unwrap_or_default();
        let others: Vec<String> = medians.iter().skip(1).map(said).collect();
        let goals: Vec<String> = self
            .verdicts()
            .into_iter()
            .map(|(goal, met)| if met { goal } else { format!("**missed** {goal}") })
            .collect();
        let unit = if self.unit.is_empty() { String::new() } else { format!(" ({})", self.unit) };
        let runs = self.all.values().map(Vec::len).max().unwrap_or_default();
        format!("| {}{unit} | {runs} | {ours} | {} | {} |\n", self.what, others.join("; "), goals.join("; "))
    }
}

/// These as a table of Markdown.
pub(super) fn rows<'a>(figures: impl Iterator<Item = &'a Figure>) -> String {
    let mut text = "| what | runs | Tandem | beside | goal: what it is |\n|---|---|---|---|---|\n".to_owned();
    figures.for_each(|figure| text += &figure.line());
    text
}

/// All of them as a table of Markdown, and how each was measured.
pub(super) fn table(figures: &[Figure]) -> String {
    let mut text = rows(figures.iter());
    let mut hows: Vec<(&str, &str)> = Vec::new();
    for figure in figures.iter().filter(|figure| !figure.how.is_empty()) {
        if !hows.iter().any(|(_, how)| *how == figure.how) {
            hows.push((&figure.what, &figure.how));
        }
    }
    text += "\nHow each was measured, named by the first that was measured so:\n\n";
    for (what, how) in hows {
        let _ = writeln!(text, "- {what}: {how}");
    }
    text
}

/// What each of the programs in `manager/benches` has printed.
pub(super) fn read(text: &str) -> Result<Vec<Figure>> {
    let figures: Vec<Figure> = text.lines().map(Figure::read).collect::<Result<_>>()?;
    if figures.is_empty() {
        bail!("nothing was measured");
    }
    Ok(figures)
}

/// The middle one.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// A number of three digits, or all that stand before the point.
pub(super) fn short(value: f64) -> String {
    let magnitude = value.abs();
    match magnitude {
        _ if value.fract() == 0.0 || magnitude >= 100.0 => format!("{value:.0}"),
        _ if magnitude >= 10.0 => format!("{value:.1}"),
        _ if magnitude >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
