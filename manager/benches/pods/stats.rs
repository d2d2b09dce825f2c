//! Medians, and a figure as it is printed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

/// What is wanted of a figure.
pub(crate) enum Goal {
    /// At most so much.
    AtMost(f64),
    /// At most so many times as much as this one.
    Times(f64, &'static str),
}

/// Several ways of doing one thing, each measured again and again.
pub(crate) struct Figure {
    part: &'static str,
    what: String,
    unit: &'static str,
    how: String,
    grows: Option<(String, usize)>,
    values: BTreeMap<String, Vec<f64>>,
}

impl Figure {
    pub(crate) fn new(part: &'static str, what: String, unit: &'static str, how: impl Into<String>) -> Self {
        Figure { part, what, unit, how: how.into(), grows: None, values: BTreeMap::new() }
    }

    /// It is a point of this plot, at so many.
    pub(crate) fn grows(mut self, plot: impl Into<String>, at: usize) -> Self {
        self.grows = Some((plot.into(), at));
        self
    }

    pub(crate) fn add(&mut self, way: &str, value: f64) {
        self.values.entry(way.to_owned()).or_default().push(value);
    }

    /// The middle of what was measured of a way.
    pub(crate) fn of(&self, way: &str) -> Option<f64> {
        self.values.get(way).map(|values| median(values))
    }

    /// Print it, and what is wanted of it.
    pub(crate) fn print(&self, goals: &[Goal]) {
        let medians: BTreeMap<&str, f64> =
            self.values.iter().map(|(way, values)| (way.as_str(), median(values))).collect();
        let goals: Vec<Value> = goals
            .iter()
            .map(|goal| match goal {
                Goal::AtMost(most) => json!({"at_most": most}),
                Goal::Times(times, way) => json!({"times": times, "of": way}),
            })
            .collect();
        let line = json!({
            "part": self.part, "what": self.what, "unit": self.unit, "how": self.how,
            "all": self.values, "goals": goals, "grows": self.grows.as_ref().map(|(plot, at)| json!({"plot": plot, "at": at})),
        });
        println!("{line}");
        let ways: Vec<String> = medians.iter().map(|(way, value)| format!("{way} {value:.1}")).collect();
        eprintln!("    {}: {} {}", self.what, ways.join(", "), self.unit);
    }
}
