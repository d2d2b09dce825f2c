//! How the manager's own log lines look: for people, with colours on a terminal, or one JSON object a line.
//!
//! The message of a line is a sentence that has everything in it. What programs look for is in fields beside it
//! ([`FIELDS`]): JSON has them as keys, and text leaves them out, since the sentence says the same.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::logs::json::{object, quoted, timestamp};
use crate::logs::output::Output;
use pod::words::printable;

/// Fields of the manager's own lines. `status` is an exit status, `reason` why the planner wanted the action.
pub const FIELDS: [&str; 7] = ["pod", "component", "action", "reason", "status", "image", "duration_ms"];

/// The span of a pod that an agent runs; its field `name` is the pod's.
pub const POD_SPAN: &str = "pod";
const NAME: &str = "name=";

/// Lines for people.
pub struct Text {
    /// With colours.
    pub color: bool,
}

/// One JSON object a line.
pub struct Json {
    /// Knows the pod of a manager that runs one.
    pub output: Output,
}

impl<S> FormatEvent<S, DefaultFields> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, DefaultFields>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        let (faint, color, plain) = match self.color {
            true => ("\x1b[2m", color(level), "\x1b[0m"),
            false => ("", "", ""),
        };
        write!(to, "{faint}{}{plain} {color}{level:>5}{plain} ", timestamp()?)?;
        if let Some(name) = pod_of_span(context) {
            write!(to, "{POD_SPAN}{{{NAME}{}}}: ", printable(&name))?;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        to.write_str(&printable(&fields.message))?;
        for (name, value) in fields.others.iter().filter(|(name, _)| !FIELDS.contains(name)) {
            write!(to, " {name}={}", printable(value))?;
        }
        to.write_char('\n')
    }
}

impl<S> FormatEvent<S, DefaultFields> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, DefaultFields>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = *event.metadata().level();
        let pod = pod_of_span(context).or_else(|| self.output.pod());
        let pod = pod.filter(|_| fields.others.iter().all(|(name, _)| *name != "pod"));
        let pod = pod.map(|pod| ("pod", quoted(&pod)));
        let mut line = object(level, &fields.message)?;
        for (name, value) in pod.into_iter().chain(fields.others) {
            write!(line, ",{}:{value}", quoted(name))?;
        }
        writeln!(to, "{line}}}")
    }
}

fn color(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[34m",
    }
}

/// The name of the pod in whose span a line is written.
fn pod_of_span<S>(context: &FmtContext<'_, S, DefaultFields>) -> Option<String>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let span = context.event_scope()?.find(|span| span.name() == POD_SPAN)?;
    let extensions = span.extensions();
    let fields = extensions.get::<FormattedFields<DefaultFields>>()?;
    fields.fields.strip_prefix(NAME).map(str::to_owned)
}

/// The fields of one event: the message, and the others as JSON values.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.others.push((field.name(), value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.others.push((field.name(), value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.others.push((field.name(), value.to_string()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            name => self.others.push((name, quoted(value))),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => _ = write!(self.message, "{value:?}"),
            name => self.others.push((name, quoted(&format!("{value:?}")))),
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::subscriber::with_default;
    use tracing::{info, info_span, warn};
    use tracing_subscriber::prelude::*;

    use super::*;
    use crate::logs::json::json_line;
    use crate::testing::Written;

    fn lines(
        event_format: impl FormatEvent<tracing_subscriber::Registry, DefaultFields> + Send + Sync + 'static,
    ) -> String {
        lines_of(event_format, || {
            info!(component = "app", status = 3, duration_ms = 1200u64, action = %"start", "`app` says \"hi\"");
            info_span!("pod", name = %"web.1").in_scope(|| warn!(other = true, "in a pod"));
        })
    }

    fn lines_of(
        event_format: impl FormatEvent<tracing_subscriber::Registry, DefaultFields> + Send + Sync + 'static,
        say: impl FnOnce(),
    ) -> String {
        let written = Written::default();
        let to = written.clone();
        let layer =
            tracing_subscriber::fmt::layer().event_format(event_format).with_writer(move || to.clone());
        with_default(tracing_subscriber::registry().with(layer), say);
        written.text()
    }

    /// Without the time, which is another one each time.
    fn bare(text: &str) -> Vec<&str> {
        text.lines().map(|line| line.split_once("Z ").map_or(line, |(_, rest)| rest)).collect()
    }

    #[test]
    fn text_has_the_sentence_and_json_has_its_parts_as_keys() {
        let text = lines(Text { color: false });
        assert_eq!(bare(&text), [" INFO `app` says \"hi\"", " WARN pod{name=web.1}: in a pod other=true"]);

        let output = Output::default();
        output.name_pod("shop_web.1.x");
        let json = lines(Json { output });
        let lines: Vec<serde_json::Value> =
            json.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        let first = &lines[0];
        assert_eq!(
            (&first["level"], &first["message"], &first["component"], &first["status"], &first["action"]),
            (&"INFO".into(), &"`app` says \"hi\"".into(), &"app".into(), &3.into(), &"start".into())
        );
        assert_eq!((&first["pod"], &first["duration_ms"]), (&"shop_web.1.x".into(), &1200.into()));
        assert!(first["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{json}");
        assert_eq!((&lines[1]["pod"], &lines[1]["other"]), (&"web.1".into(), &true.into()));
    }

    #[test]
    fn a_terminal_obeys_nothing_of_a_line_and_its_own_lines_stay() {
        let written = |color| {
            lines_of(Text { color }, || {
                let words = "\x1b]0;pwned\x07\u{9b}2J\x7f";
                info_span!("pod", name = %"a\x1bb")
                    .in_scope(|| warn!(other = words, "found {words}:\n  more"));
            })
        };
        let escaped = r"\u{1b}]0;pwned\u{7}\u{9b}2J\u{7f}";
        let text = written(false);
        let want = format!(
            r#"{escaped}:
  more other="\u001b]0;pwned\u0007\u{{9b}}2J\u{{7f}}""#
        );
        assert_eq!(bare(&text).join("\n"), format!(r" WARN pod{{name=a\u{{1b}}b}}: found {want}"));
        assert_eq!(written(true).matches('\x1b').count(), 4, "those of time and level");
    }

    #[test]
    fn colours_are_around_time_and_level_only() {
        let text = lines(Text { color: true });
        let line = text.lines().next().expect("a line");
        assert!(
            line.starts_with("\x1b[2m20")
                && line.ends_with("Z\x1b[0m \x1b[32m INFO\x1b[0m `app` says \"hi\""),
            "{line}"
        );
    }

    #[test]
    fn a_line_of_the_command_line_is_an_object_too() {
        let line = json_line(Level::ERROR, "found `--nope`\n\"x\"");
        let object: serde_json::Value = serde_json::from_str(&line).expect("an object");
        assert_eq!(
            (&object["level"], &object["message"]),
            (&"ERROR".into(), &"found `--nope`\n\"x\"".into())
        );
        assert!(line.ends_with("}\n") && line.matches('\n').count() == 1);
    }
}
