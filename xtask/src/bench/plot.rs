//! What grows, as a picture: lines over a number of things, both axes logarithmic, so that what is linear is straight.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::report::{Figure, short};

/// Size of the picture, and of the field in it.
const SIZE: (f64, f64) = (640.0, 400.0);
const FIELD: (f64, f64, f64, f64) = (60.0, 40.0, 480.0, 350.0);
/// What the name of a line takes from top to bottom.
const NAME: f64 = 13.0;
/// Told apart also by those who do not see every colour.
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"];

/// The points of each way.
type Ways<'a> = BTreeMap<&'a str, Vec<(f64, f64)>>;

/// The pictures: name of the file, and what is in it.
pub(super) fn plots(figures: &[Figure]) -> Vec<(String, String)> {
    let mut plots: BTreeMap<&str, Ways<'_>> = BTreeMap::new();
    for figure in figures {
        let Some((plot, at)) = &figure.grows else { continue };
        for (way, value) in figure.medians() {
            plots.entry(plot).or_default().entry(way).or_default().push((*at, value));
        }
    }
    let whole = plots.into_iter().filter(|(_, ways)| ways.values().any(|points| points.len() > 1));
    whole
        .map(|(title, ways)| (format!("{}.svg", title.replace([' ', ',', '/'], "_")), svg(title, &ways)))
        .collect()
}

fn svg(title: &str, ways: &Ways<'_>) -> String {
    let points = || ways.values().flatten().filter(|(_, y)| *y > 0.0);
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        let least = points().map(of).fold(f64::INFINITY, f64::min);
        let most = points().map(of).fold(0.0, f64::max);
        (least.log10(), (most * 1.2).log10().max(least.log10() + 0.1))
    };
    let (horizontal, vertical) = (bounds(|point| point.0), bounds(|point| point.1));
    let x = |value: f64| {
        FIELD.0 + (value.log10() - horizontal.0) / (horizontal.1 - horizontal.0) * (FIELD.2 - FIELD.0)
    };
    let y =
        |value: f64| FIELD.3 - (value.log10() - vertical.0) / (vertical.1 - vertical.0) * (FIELD.3 - FIELD.1);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{}\" y=\"22\" font-size=\"15\">{title}</text>\n\
         <path d=\"M{} {}V{}H{}\" fill=\"none\" stroke=\"black\"/>\n",
        SIZE.0, SIZE.1, FIELD.0, FIELD.0, FIELD.1, FIELD.3, FIELD.2
    );
    let mut places: Vec<f64> = points().map(|point| point.0).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    for place in places {
        let _ = writeln!(
            text,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
            x(place),
            FIELD.3 + 18.0,
            short(place)
        );
    }
    for power in -3..9 {
        for value in [1.0, 2.0, 5.0].map(|step| step * 10_f64.powi(power)) {
            if (vertical.0..=vertical.1).contains(&value.log10()) {
                let at = y(value);
                let _ = writeln!(
                    text,
                    "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\n<path d=\"M{} {at:.0}H{}\" stroke=\"#ddd\"/>",
                    FIELD.0 - 6.0,
                    at + 4.0,
                    short(value),
                    FIELD.0,
                    FIELD.2
                );
            }
        }
    }
    let mut names: Vec<(f64, f64, &str, String)> = Vec::new();
    for ((way, line), colour) in ways.iter().zip(COLOURS.iter().cycle()) {
        let at: Vec<String> = line
            .iter()
            .filter(|(_, y)| *y > 0.0)
            .map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1)))
            .collect();
        let _ = writeln!(
            text,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            at.join(" ")
        );
        for point in &at {
            let (left, top) = point.split_once(',').unwrap_or_default();
            let _ = writeln!(text, "<circle cx=\"{left}\" cy=\"{top}\" r=\"3\" fill=\"{colour}\"/>");
        }
        if let Some(last) = line.last().filter(|(_, y)| *y > 0.0) {
            names.push((x(last.0) + 8.0, y(last.1) + 4.0, *colour, format!("{way} {}", short(last.1))));
        }
    }
    // Where lines end close to each other, their names still stand one below the other.
    names.sort_by(|one, other| one.1.total_cmp(&other.1));
    let mut above = f64::NEG_INFINITY;
    for (left, top, colour, name) in names {
        let top = top.max(above + NAME);
        above = top;
        let _ = writeln!(text, "<text x=\"{left:.0}\" y=\"{top:.0}\" fill=\"{colour}\">{name}</text>");
    }
    text + "</svg>\n"
}
