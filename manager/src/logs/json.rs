//! Lines of the log as JSON objects.

use std::fmt;

use tracing::Level;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// A whole line of the manager's that is written where no log is, or yet: by the command line, or into the log of a pod.
pub fn json_line(level: Level, message: &str) -> String {
    // Writing into a string does not fail.
    object(level, message).map(|line| line + "}\n").unwrap_or_default()
}

/// The beginning of an object with what every line has.
pub(crate) fn object(level: Level, message: &str) -> Result<String, fmt::Error> {
    let time = quoted(&timestamp()?);
    Ok(format!("{{\"timestamp\":{time},\"level\":\"{level}\",\"message\":{}", quoted(message)))
}

/// A JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

pub(crate) fn timestamp() -> Result<String, fmt::Error> {
    let mut time = String::new();
    SystemTime.format_time(&mut Writer::new(&mut time))?;
    Ok(time)
}
