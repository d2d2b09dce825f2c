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

impl Goal {
    /// As [`Figure::read`] reads it.
    fn json(&self) -> Value {
        match self {
            Goal::AtMost(most) => json!({"at_most": most}),
            Goal::Times(times, of) => json!({"times": times, "of": of}),
            Goal::BestTimes(times) => json!({"best_times": times}),
            Goal::BestShare(share) => json!({"best_share": share}),
        }
    }
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
            for value in values.as_array().into_iter().flatten() {
                // What is no number, `NaN` say, is written as null: a measurement that failed must not be left out.
                figure.add(
                    way,
                    value.as_f64().with_context(|| format!("{}: {way} has no value", figure.what))?,
                );
            }
        }
        let grows = &said["grows"];
        // Among what was kept, `goals` is what became of them.
        for goal in said.get("wanted").unwrap_or(&said["goals"]).as_array().into_iter().flatten() {
            figure.goals.extend(goal["at_most"].as_f64().map(Goal::AtMost));
            figure.goals.extend(goal["best_times"].as_f64().map(Goal::BestTimes));
            figure.goals.extend(goal["best_share"].as_f64().map(Goal::BestShare));
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
        let ours = medians.first().filter(|(way, _)| OURS.contains(way)).map(|(_, value)| *value);
        let others = || medians.iter().filter(|(way, _)| !OURS.contains(way));
        let least = others().min_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(way, _)| *way);
        let most = others().max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(way, _)| *way);
        let verdict = |goal: &Goal| {
            let (words, bound, is) = match goal {
                Goal::AtMost(most) => {
                    (format!("≤ {} {}", short(*most), self.unit).trim().to_owned(), *most, ours)
                }
                Goal::Times(times, name) => {
                    (format!("≤ {} × {name}", short(*times)), *times, self.beside(name))
                }
                Goal::BestTimes(times) => (
                    format!("≤ {} × the best", short(*times)),
                    *times,
                    least.and_then(|best| self.beside(best)),
                ),
                Goal::BestShare(share) => (
                    format!("≥ {} × the best", short(*share)),
                    *share,
                    most.and_then(|best| self.beside(best)),
                ),
            };
            let Some(is) = is else { return (format!("{words}: not measured"), false) };
            match goal {
                // What it is stands in the table.
                Goal::AtMost(_) => (words, is <= bound),
                Goal::Times(..) | Goal::BestTimes(_) => (format!("{words}: {}", short(is)), is <= bound),
                Goal::BestShare(_) => (format!("{words}: {}", short(is)), is >= bound),
            }
        };
        self.goals.iter().map(verdict).collect()
    }

    /// How many times as much ours is: the middle of what it was in each run, so that what falls on a whole run does not
    /// count. Where runs are not the same number, the middle of one beside the middle of the other.
    fn beside(&self, other: &str) -> Option<f64> {
        let ours = OURS.iter().find_map(|way| self.all.get(*way))?;
        let others = self.all.get(other)?;
        if ours.len() != others.len() {
            return Some(median(ours) / median(others));
        }
        let ratios: Vec<f64> = ours.iter().zip(others).map(|(ours, other)| ours / other).collect();
        Some(median(&ratios))
    }

    /// The middle of a way, and the least and the most where they differ.
    fn spread(&self, way: &str, middle: f64) -> String {
        let values = self.all.get(way).map(Vec::as_slice).unwrap_or_default();
        let (least, most) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
            (least.min(*value), most.max(*value))
        });
        match least < most {
            true => format!("{} ({} to {})", short(middle), short(least), short(most)),
            false => short(middle),
        }
    }

    pub(super) fn json(&self) -> Value {
        let medians: Map<String, Value> =
            self.medians().into_iter().map(|(way, value)| (way.to_owned(), json!(value))).collect();
        let goals: Vec<Value> =
            self.verdicts().into_iter().map(|(goal, met)| json!({"goal": goal, "met": met})).collect();
        json!({
            "part": self.part, "what": self.what, "unit": self.unit, "how": self.how, "median": medians,
            "all": self.all, "goals": goals, "wanted": self.goals.iter().map(Goal::json).collect::<Vec<_>>(),
            "grows": self.grows.as_ref().map(|(plot, at)| json!({"plot": plot, "at": at})),
        })
    }

    /// A line of a table; `how`: with the spread of the values, and where it is said how they were measured.
    fn line(&self, how: Option<usize>) -> String {
        let medians = self.medians();
        let value = |(way, value): &(&str, f64)| match how {
            Some(_) => self.spread(way, *value),
            None => short(*value),
        };
        let said = |of: &(&str, f64)| format!("{} {}", of.0, value(of));
        let ours = medians.first().map(value).unwrap_or_default();
        let others: Vec<String> = medians.iter().skip(1).map(said).collect();
        let goals: Vec<String> = self
            .verdicts()
            .into_iter()
            .map(|(goal, met)| if met { goal } else { format!("**missed** {goal}") })
            .collect();
        let unit = if self.unit.is_empty() { String::new() } else { format!(" ({})", self.unit) };
        let runs = self.all.values().map(Vec::len).max().unwrap_or_default();
        let how = how.map(|how| format!(" {how} |")).unwrap_or_default();
        format!(
            "| {}{unit} | {runs} | {ours} | {} | {} |{how}\n",
            self.what,
            others.join("; "),
            goals.join("; ")
        )
    }
}

/// These as a table of Markdown.
pub(super) fn rows<'a>(figures: impl Iterator<Item = &'a Figure>) -> String {
    let lines: String = figures.map(|figure| figure.line(None)).collect();
    format!("| what | runs | Tandem | beside | goal: what it is |\n|---|---|---|---|---|\n{lines}")
}

/// All of them as a table of Markdown, and how each was measured.
pub(super) fn table(figures: &[Figure]) -> String {
    let mut text =
        "| what | runs | Tandem | beside | goal: what it is | how |\n|---|---|---|---|---|---|\n".to_owned();
    let mut hows: Vec<&str> = Vec::new();
    for figure in figures {
        let place = hows.iter().position(|how| *how == figure.how).unwrap_or_else(|| {
            hows.push(&figure.how);
            hows.len() - 1
        });
        text += &figure.line(Some(place + 1));
    }
    text += "\nHow each was measured:\n\n";
    for (place, how) in hows.iter().enumerate() {
        let _ = writeln!(text, "{}. {how}", place + 1);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(goal: Goal, all: &[(&str, &[f64])]) -> Figure {
        let mut figure = Figure::new("part", "what", "ms", "how");
        for (way, values) in all {
            values.iter().for_each(|value| figure.add(way, *value));
        }
        figure.goals.push(goal);
        figure
    }

    #[test]
    fn what_falls_on_a_whole_run_does_not_count() {
        let goal = Goal::Times(1.0, "peer".to_owned());
        let busy = figure(goal, &[("tandem", &[9.0, 90.0, 10.0]), ("peer", &[10.0, 100.0, 8.0])]);
        assert_eq!(busy.verdicts(), [("≤ 1 × peer: 0.90".to_owned(), true)]);
    }

    #[test]
    fn a_goal_whose_peer_was_not_measured_is_missed() {
        let all: &[(&str, &[f64])] = &[("tandem", &[1.0])];
        for goal in [Goal::Times(1.0, "peer".to_owned()), Goal::BestTimes(1.0), Goal::BestShare(0.95)] {
            let verdicts = figure(goal, all).verdicts();
            assert!(verdicts[0].0.ends_with(": not measured") && !verdicts[0].1, "{verdicts:?}");
        }
        let theirs = figure(Goal::AtMost(5.0), &[("peer", &[1.0])]).verdicts();
        assert_eq!(theirs, [("≤ 5 ms: not measured".to_owned(), false)]);
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        let line = json!({"what": "what", "all": {"tandem": [f64::NAN]}}).to_string();
        assert!(Figure::read(&line).is_err());
    }

    #[test]
    fn a_table_has_the_spread_and_says_how() {
        let table = table(&[figure(Goal::AtMost(5.0), &[("tandem", &[1.0, 2.0, 4.0]), ("peer", &[3.0])])]);
        assert!(table.contains("| what (ms) | 3 | 2 (1 to 4) | peer 3 | ≤ 5 ms | 1 |\n"), "{table}");
        assert!(table.ends_with("\n1. how\n"), "{table}");
    }
}
