//! Compose's interpolation of variables in a string: `$VAR`, `${VAR:-default}` and its relatives, `$$`.

use super::fault::quote;

/// How deep defaults may hold variables with defaults.
const MOST_NESTED: usize = 32;

/// Why a string cannot be interpolated: what was found, what is valid.
pub(super) type Problem = (String, String);

/// The text with its variables in place, at most `most_bytes` of it.
pub(super) fn interpolate(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    most_bytes: usize,
) -> Result<String, Problem> {
    let mut left = most_bytes;
    let (out, rest) = part(text, lookup, 0, &mut left)?;
    debug_assert!(rest.is_empty(), "only a nested part ends at a brace");
    Ok(out)
}

/// Up to the end, or, within braces, to the brace that closes them; and what follows.
fn part<'a>(
    text: &'a str,
    lookup: &dyn Fn(&str) -> Option<String>,
    depth: usize,
    left: &mut usize,
) -> Result<(String, &'a str), Problem> {
    let mut out = String::new();
    let mut rest = text;
    loop {
        let next = rest.find(|char| char == '$' || (depth > 0 && char == '}')).unwrap_or(rest.len());
        add(&mut out, &rest[..next], left)?;
        rest = &rest[next..];
        let Some(after) = rest.strip_prefix('$') else { return Ok((out, rest)) };
        if let Some(after) = after.strip_prefix('$') {
            add(&mut out, "$", left)?;
            rest = after;
        } else if let Some(inner) = after.strip_prefix('{') {
            let (value, after) = braced(rest, inner, lookup, depth, left)?;
            add(&mut out, &value, left)?;
            rest = after;
        } else {
            let (name, after) = name(after);
            if name.is_empty() {
                return Err((
                    format!("found `$` without the name of a variable in {}", quote(text)),
                    "valid are `$NAME`, `${NAME}`, and `$$` for a dollar sign".into(),
                ));
            }
            add(&mut out, &lookup(name).unwrap_or_default(), left)?;
            rest = after;
        }
    }
}

fn braced<'a>(
    whole: &'a str,
    inner: &'a str,
    lookup: &dyn Fn(&str) -> Option<String>,
    depth: usize,
    left: &mut usize,
) -> Result<(String, &'a str), Problem> {
    let unclosed = || {
        let problem = format!("found {} without its closing brace", quote(whole));
        (problem, "valid is one such as `${NAME:-default}`".to_owned())
    };
    if depth >= MOST_NESTED {
        return Err((
            "variables are nested too deeply".into(),
            format!("valid are up to {MOST_NESTED} levels"),
        ));
    }
    let (name, after) = name(inner);
    let value = lookup(name);
    if let Some(rest) = after.strip_prefix('}').filter(|_| !name.is_empty()) {
        return Ok((value.unwrap_or_default(), rest));
    }
    if after.is_empty() {
        return Err(unclosed());
    }
    let (empty_counts, operator) = match after.strip_prefix(':') {
        Some(operator) => (false, operator),
        None => (true, after),
    };
    let mut chars = operator.chars();
    let sign = chars.next().filter(|sign| matches!(sign, '-' | '?' | '+') && !name.is_empty());
    let Some(sign) = sign else {
        return Err((
            format!("found {}", quote(whole)),
            "valid are `${NAME}`, and after the name `:-default`, `-default`, `:?error`, `?error`, `:+other` \
             and `+other`"
                .into(),
        ));
    };
    // As in Compose, a variable in a word that is not used is not asked for: `${A:-${B:?}}` with A set.
    let set = value.filter(|value| empty_counts || !value.is_empty());
    let used = set.is_some() == (sign == '+');
    let silent = |_: &str| Some("x".to_owned());
    let mut scratch = *left;
    let (word, rest) = match used {
        true => part(chars.as_str(), lookup, depth + 1, &mut scratch)?,
        false => part(chars.as_str(), &silent, depth + 1, &mut scratch)?,
    };
    let rest = rest.strip_prefix('}').ok_or_else(unclosed)?;
    match (sign, set) {
        ('+', Some(_)) => Ok((word, rest)),
        ('+', None) => Ok((String::new(), rest)),
        (_, Some(value)) => Ok((value, rest)),
        ('-', None) => Ok((word, rest)),
        (_, None) => {
            let why = if word.is_empty() { String::new() } else { format!(": {}", quote(&word)) };
            let problem = format!("the variable {} is required{why}", quote(name));
            Err((problem, "set it in the task container's environment, or in `.env` beside the file".into()))
        }
    }
}

fn add(out: &mut String, text: &str, left: &mut usize) -> Result<(), Problem> {
    *left = left.checked_sub(text.len()).ok_or_else(|| {
        (
            "the values of its variables make the text too large".to_owned(),
            "valid are up to 4194304 bytes".to_owned(),
        )
    })?;
    out.push_str(text);
    Ok(())
}

fn name(text: &str) -> (&str, &str) {
    let end = text
        .char_indices()
        .find(|(index, char)| {
            !(*char == '_' || char.is_ascii_alphabetic() || (*index > 0 && char.is_ascii_digit()))
        })
        .map_or(text.len(), |(index, _)| index);
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<String, Problem> {
        let lookup = |name: &str| match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            "LONG" => Some("x".repeat(600)),
            _ => None,
        };
        interpolate(text, &lookup, 1000)
    }

    #[test]
    fn every_form_means_what_it_means_in_compose() {
        for (text, expected) in [
            ("plain }", "plain }"),
            ("$SET-${SET}", "value-value"),
            ("$NONE.${NONE}.", ".."),
            ("$$SET $${SET}", "$SET ${SET}"),
            ("${NONE:-d}${EMPTY:-d}${SET:-d}", "ddvalue"),
            ("${NONE-d}${EMPTY-d}${SET-d}", "dvalue"),
            ("${NONE:+d}${EMPTY:+d}${SET:+d}", "d"),
            ("${NONE+d}${EMPTY+d}${SET+d}", "dd"),
            ("${EMPTY?x}${SET:?x}", "value"),
            ("${NONE:-${EMPTY:-a ${SET}}}!", "a value!"),
            ("${SET:-${NONE:?never asked}}", "value"),
            ("${NONE:-}", ""),
        ] {
            assert_eq!(with(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_growth_is_bounded() {
        for (text, expected) in [
            ("a $", "found `$` without the name of a variable in `a $`"),
            ("$1", "found `$` without the name of a variable in `$1`"),
            ("${SET", "found `${SET` without its closing brace"),
            ("${SET:-a", "found `${SET:-a` without its closing brace"),
            ("${}", "found `${}`"),
            ("${SET!}", "found `${SET!}`"),
            ("${NONE:?say it}", "the variable `NONE` is required: `say it`"),
            ("${EMPTY:?}", "the variable `EMPTY` is required"),
            ("$LONG$LONG", "the values of its variables make the text too large"),
            (&"${A:-".repeat(40), "variables are nested too deeply"),
        ] {
            assert_eq!(with(text).map_err(|(problem, _)| problem), Err(expected.to_owned()), "{text}");
        }
    }
}
