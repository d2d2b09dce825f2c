//! Single values: what text is a duration, a size, a signal, and why other text is not.

pub(super) use pod::path::{tidy_path, within};
use std::time::Duration;

use super::cursor::Cursor;
use super::diagnostic::{nearest, quote};
use super::yaml::Kind;

/// Capabilities of Linux, in the order of their numbers.
const CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
    "ALL",
];

/// Signals that the engine knows by name, without `SIG`; the real-time ones are worked out.
const SIGNALS: &[&str] = &[
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE",
    "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// Which duration is too short for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shortest {
    /// None is.
    Zero,
    /// The engine refuses less than a millisecond; zero means its default.
    Millisecond,
}

/// A boolean, in the spellings of YAML 1.1 too, which Podlike's YAML took.
pub(super) fn boolean(cursor: &Cursor<'_>) -> Option<bool> {
    let value = match &cursor.node.kind {
        Kind::Bool(value) => Some(*value),
        Kind::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Some(true),
            "false" | "no" | "off" | "n" => Some(false),
            _ => None,
        },
        _ => None,
    };
    if value.is_none() {
        cursor.expected("`true` or `false`");
    }
    value
}

/// Text that is not empty; a number counts, as `user: 1000` does.
pub(super) fn text(cursor: &Cursor<'_>, valid: &str) -> Option<String> {
    match cursor.scalar() {
        Some(text) if !text.trim().is_empty() => Some(text),
        _ => {
            cursor.expected(valid);
            None
        }
    }
}

/// A whole number within bounds.
pub(super) fn integer(cursor: &Cursor<'_>, least: i64, most: i64, valid: &str) -> Option<i64> {
    let value = match &cursor.node.kind {
        // A YAML float such as `3.0` is a whole number too, as in Compose.
        Kind::Number(text) => whole_number(text).or_else(|| whole_float(text)),
        Kind::Text(text) => whole_number(text),
        _ => None,
    };
    let value = value.filter(|value| (least..=most).contains(value));
    if value.is_none() {
        cursor.expected(valid);
    }
    value
}

/// A duration such as `1m30s`. `None` for a fault, and for zero where zero means the engine's default.
pub(super) fn duration(cursor: &Cursor<'_>, shortest: Shortest) -> Option<Duration> {
    const VALID: &str = "valid is a duration such as `1m30s`, `10s` or `500ms`";
    let Some(text) = cursor.scalar().filter(|_| !matches!(cursor.node.kind, Kind::Bool(_))) else {
        cursor.fault(format!("found {}", cursor.describe()), VALID);
        return None;
    };
    let number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match parse_duration(&text) {
        Some(Duration::ZERO) if shortest == Shortest::Millisecond => None,
        Some(duration) if shortest == Shortest::Millisecond && duration < Duration::from_millis(1) => {
            cursor.fault(format!("found {}", cursor.describe()), "valid is at least `1ms`");
            None
        }
        Some(duration) => Some(duration),
        None if number => {
            cursor.fault(
                format!("found {} without a unit", quote(&text)),
                format!("write {}", quote(&(text + "s"))),
            );
            None
        }
        None => {
            cursor.fault(format!("found {}", cursor.describe()), VALID);
            None
        }
    }
}

/// A size in bytes, as a number or such as `64m`.
pub(super) fn size(cursor: &Cursor<'_>) -> Option<i64> {
    let bytes = match &cursor.node.kind {
        Kind::Number(text) | Kind::Text(text) => {
            parse_size(text).or_else(|| whole_float(text).filter(|bytes| *bytes >= 0))
        }
        _ => None,
    };
    if bytes.is_none() {
        cursor.expected("a size such as `64m`, `1.5g` or a number of bytes");
    }
    bytes
}

/// A number of CPUs such as `0.5`, in 10^-9 CPUs. `None` for a fault, and for zero, which limits nothing.
pub(super) fn nano_cpus(cursor: &Cursor<'_>) -> Option<i64> {
    // The kernel accounts in slices of 100 ms and takes no share of one below 1 ms.
    const LEAST: i64 = 10_000_000;
    let nanos = match &cursor.node.kind {
        Kind::Number(text) | Kind::Text(text) => parse_nanos(text),
        _ => None,
    };
    match nanos {
        Some(0) => None,
        Some(nanos) if nanos >= LEAST => Some(nanos),
        _ => {
            cursor.expected("a number of CPUs such as `0.5`, at least `0.01`");
            None
        }
    }
}

/// A signal, as `SIGTERM`, `TERM` or a number.
pub(super) fn signal(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.scalar().unwrap_or_default();
    if let Some(number) = whole_number(&text).filter(|number| (1..=64).contains(number)) {
        return Some(number.to_string());
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if SIGNALS.contains(&name) || real_time(name) {
        return Some(format!("SIG{name}"));
    }
    match nearest(name, SIGNALS.iter().copied()).filter(|_| cursor.scalar().is_some()) {
        Some(near) => {
            cursor.fault(format!("found {}", cursor.describe()), format!("did you mean `SIG{near}`?"))
        }
        None => cursor.expected("a signal such as `SIGTERM`, or its number from 1 to 64"),
    }
    None
}

/// A capability, with or without `CAP_`.
pub(super) fn capability(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.scalar().unwrap_or_default().to_ascii_uppercase();
    let name = text.strip_prefix("CAP_").unwrap_or(&text);
    if CAPABILITIES.contains(&name) {
        return Some(name.to_owned());
    }
    match nearest(name, CAPABILITIES.iter().copied()).filter(|_| cursor.scalar().is_some()) {
        Some(near) => cursor.fault(format!("found {}", cursor.describe()), format!("did you mean `{near}`?")),
        None => cursor.expected("a capability of Linux such as `NET_ADMIN`, or `ALL`"),
    }
    None
}

/// Permissions in octal.
pub(super) fn mode(cursor: &Cursor<'_>) -> Option<u32> {
    let digits = match &cursor.node.kind {
        // `755` as a YAML number is decimal, and not what anybody means by it.
        Kind::Number(text) => text.strip_prefix("0o").or((text == "0").then_some("0")),
        Kind::Text(text) => Some(text.strip_prefix("0o").unwrap_or(text)),
        _ => None,
    };
    let plain = |digits: &&str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let mode = digits.filter(plain).and_then(|digits| u32::from_str_radix(digits, 8).ok());
    let mode = mode.filter(|mode| *mode <= 0o7777);
    if mode.is_none() {
        cursor.expected("an octal number such as `0755` or `\"1777\"`");
    }
    mode
}

fn whole_number(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        _ => (10, digits),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

/// The whole number that a float such as `3.0` or `1.5e9` is, exactly; `None` where a fraction is left.
fn whole_float(text: &str) -> Option<i64> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => (-1, mantissa),
        None => (1, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_end_matches('0');
    let zeros = i64::try_from(digits.len() - significant.len()).ok()?;
    let exponent = i64::from(exponent.parse::<i32>().ok()?);
    let zeros = exponent - i64::try_from(fraction.len()).ok()? + zeros;
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let power = 10_i64.checked_pow(u32::try_from(zeros).ok()?)?;
    significant.parse::<i64>().ok()?.checked_mul(power)?.checked_mul(sign)
}

/// A duration as Compose reads it (`str2duration`): that of Go's `time.ParseDuration`, and days and weeks. No duration is
/// negative.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let (number, tail) = rest.split_at(end);
        let (unit, tail) =
            tail.split_at(tail.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(tail.len()));
        let unit: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "w" => 604_800_000_000_000,
            _ => return None,
        };
        nanos = nanos.checked_add(decimal(number, unit)?)?;
        rest = tail;
    }
    // The engine holds durations in 63 bits of nanoseconds.
    let nanos = i64::try_from(nanos).ok()?;
    (!text.is_empty()).then(|| Duration::from_nanos(nanos.unsigned_abs()))
}

/// Docker's sizes: powers of 1024 whatever the spelling of the unit.
fn parse_size(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let end = lower.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let shift = match unit {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return None,
    };
    // Half a byte is a slip of the unit.
    if shift == 0 && number.contains('.') {
        return None;
    }
    i64::try_from(decimal(number, 1 << shift)?).ok()
}

fn parse_nanos(text: &str) -> Option<i64> {
    i64::try_from(decimal(text, 1_000_000_000)?).ok()
}

/// `number * unit`, exactly, fractions of one rounded down.
fn decimal(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // More digits than this are below any unit here.
    let fraction = &fraction[..fraction.len().min(18)];
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? };
    let part = part.checked_mul(unit)? / 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    whole.checked_mul(unit)?.checked_add(part)
}

/// The engine's names for real-time signals.
fn real_time(name: &str) -> bool {
    let offset = |prefix: &str, most: u32| {
        let digits = name.strip_prefix(prefix)?;
        let offset: u32 = digits.parse().ok()?;
        (digits.bytes().all(|byte| byte.is_ascii_digit()) && (1..=most).contains(&offset)).then_some(())
    };
    matches!(name, "RTMIN" | "RTMAX") || offset("RTMIN+", 15).or(offset("RTMAX-", 14)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_go_s() {
        for (text, expected) in [
            ("1m30s", Some(Duration::from_secs(90))),
            ("1.5s", Some(Duration::from_millis(1500))),
            (".5s", Some(Duration::from_millis(500))),
            ("1.s", Some(Duration::from_secs(1))),
            ("2h45m", Some(Duration::from_secs(9900))),
            ("300ms", Some(Duration::from_millis(300))),
            ("7us", Some(Duration::from_micros(7))),
            ("7µs", Some(Duration::from_micros(7))),
            ("9ns", Some(Duration::from_nanos(9))),
            ("0", Some(Duration::ZERO)),
            ("0s", Some(Duration::ZERO)),
            ("", None),
            ("10", None),
            ("s", None),
            (".s", None),
            ("1.2.3s", None),
            ("1d", Some(Duration::from_secs(86_400))),
            ("1w", Some(Duration::from_secs(604_800))),
            ("1w2d3h", Some(Duration::from_secs(604_800 + 2 * 86_400 + 3 * 3600))),
            ("0.5d", Some(Duration::from_secs(43_200))),
            ("1y", None),
            ("-1s", None),
            ("1 s", None),
            ("1s ", None),
            ("99999999999999999999999999999999999999999h", None),
            ("2562048h", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
    }

    #[test]
    fn floats_without_a_fraction_are_whole_numbers() {
        for (text, expected) in [
            ("3.0", Some(3)),
            ("3.", Some(3)),
            ("1.5e9", Some(1_500_000_000)),
            ("1.5E+9", Some(1_500_000_000)),
            ("15e-1", None),
            ("150e-1", Some(15)),
            ("-1.0", Some(-1)),
            ("+2.50e1", Some(25)),
            ("0.0", Some(0)),
            ("0e999999", Some(0)),
            ("3.5", None),
            ("1e19", None),
            ("1e999999999", None),
            ("1e99999999999", None),
            ("1e", None),
            (".", None),
            (".inf", None),
            (".nan", None),
            ("1.0.0", None),
            ("", None),
        ] {
            assert_eq!(whole_float(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes_are_docker_s() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("1b", Some(1)),
            ("64k", Some(64 << 10)),
            ("64K", Some(64 << 10)),
            ("64m", Some(64 << 20)),
            ("64MB", Some(64 << 20)),
            ("64 MiB", Some(64 << 20)),
            ("1.5g", Some(3 << 29)),
            ("2t", Some(2 << 40)),
            ("1p", Some(1 << 50)),
            ("-1", None),
            ("", None),
            ("m", None),
            ("64q", None),
            ("1.5", None),
            ("1.5b", None),
            ("64m ", None),
            ("0x10", None),
            ("99999999p", None),
            ("99999999999999999999999999999999999999999999g", None),
        ] {
            assert_eq!(parse_size(text), expected, "{text}");
        }
    }

    #[test]
    fn cpus_are_exact_to_a_billionth() {
        for (text, expected) in [
            ("1", Some(1_000_000_000)),
            ("0.5", Some(500_000_000)),
            (".25", Some(250_000_000)),
            ("0.1", Some(100_000_000)),
            ("1.0000000019", Some(1_000_000_001)),
            ("1e3", None),
            ("-1", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse_nanos(text), expected, "{text}");
        }
    }

    #[test]
    fn whole_numbers_are_yaml_s() {
        for (text, expected) in [
            ("5", Some(5)),
            ("-1", Some(-1)),
            ("+5", Some(5)),
            ("0x10", Some(16)),
            ("0o10", Some(8)),
            ("0b11", Some(3)),
            ("", None),
            ("+-5", None),
            ("--5", None),
            ("-+5", None),
            ("5.0", None),
            ("0x", None),
            ("0x-5", None),
            ("9223372036854775808", None),
            ("ü1", None),
        ] {
            assert_eq!(whole_number(text), expected, "{text}");
        }
    }

    #[test]
    fn every_stop_signal_has_its_number() {
        let real_time = ["RTMIN", "RTMIN+15", "RTMAX-14", "RTMAX"];
        let unknown: Vec<&&str> = (SIGNALS.iter().chain(&real_time))
            .filter(|name| pod::in_place::signal_number(&format!("SIG{name}")).is_none())
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn real_time_signals_are_the_engine_s() {
        for name in ["RTMIN", "RTMIN+1", "RTMIN+15", "RTMAX-14", "RTMAX"] {
            assert!(real_time(name), "{name}");
        }
        for name in ["RTMIN+16", "RTMIN+0", "RTMIN+", "RTMIN++1", "RTMAX-15", "RTMAX+1", "RT"] {
            assert!(!real_time(name), "{name}");
        }
    }

    #[test]
    fn paths_are_tidied_and_compared_by_steps() {
        for (path, expected) in [
            ("/a/b", Some("/a/b")),
            ("/a/../b/./c//d/", Some("/b/c/d")),
            ("/../..", Some("/")),
            ("//", Some("/")),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(tidy_path(path).as_deref(), expected, "{path}");
        }
        assert!(within("/a/b", "/a") && within("/a", "/a") && within("/a", "/"));
        assert!(!within("/ab", "/a") && !within("/a", "/a/b"));
    }
}
