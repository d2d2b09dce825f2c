//! Compose's interpolation of variables in a string: `$VAR`, `${VAR:-default}` and its relatives, `$$`.

use std::cell::Cell;
use std::rc::Rc;

use super::cursor::{Cursor, Pair};
use super::diagnostic::quote;
use super::yaml::{Entry, Kind, Node};

/// How deep defaults may hold variables with defaults.
const MOST_NESTED: usize = 32;

/// Where a variable that is required can be set: what a stack file's reader replaces by its own place.
pub(super) const SET_IT: &str = "set it in the task container's environment, or in `.env` beside the file";

/// The value of a variable. It is shared, since a text may name a long one many times without taking it over.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<Rc<str>>;

/// Why a string cannot be interpolated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// What was found.
    pub(super) problem: String,
    /// The same without anything of the string, which may be a secret.
    pub(super) quiet: &'static str,
    /// What is valid.
    pub(super) remedy: String,
}

/// What a string is interpolated with.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) lookup: Lookup<'a>,
    /// Gets the name of each variable that is not set and has no default, as often as it stands there.
    pub(super) unset: &'a dyn Fn(&str),
    pub(super) dialect: Dialect,
}

/// Whose rules hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Compose's (compose-go's `template`).
    Compose,
    /// Those of `docker stack deploy`, which refuses a `$` before neither a name nor a brace, ends a variable at the first
    /// `}`, and takes a default as it is (docker/cli's `compose/template`).
    Stack,
}

/// How the strings of a tree are interpolated.
pub(super) struct Interpolation<'a> {
    pub(super) lookup: Lookup<'a>,
    /// [`Scope::unset`], with the place.
    pub(super) unset: &'a dyn Fn(&Cursor<'_>, &str),
    pub(super) dialect: Dialect,
    /// How many bytes more there may be.
    pub(super) left: Cell<usize>,
    /// A string could not be interpolated, which is a fault.
    pub(super) failed: Cell<bool>,
}

impl Interpolation<'_> {
    /// The same tree with the variables of its strings in place; keys stay as they are, as in Compose.
    pub(super) fn tree(&self, cursor: &Cursor<'_>) -> Node {
        let kind = match &cursor.node.kind {
            Kind::Text(text) if text.contains('$') => self.text(cursor, text),
            Kind::List(_) => {
                let items = cursor.items().unwrap_or_default();
                Kind::List(items.iter().map(|item| self.tree(item)).collect())
            }
            Kind::Map(entries) => {
                let pairs = cursor.pairs().unwrap_or_default();
                let entry = |(pair, entry): (&Pair<'_>, &Entry)| Entry {
                    value: self.tree(&pair.value),
                    key: entry.key.clone(),
                    key_id: entry.key_id,
                };
                Kind::Map(pairs.iter().zip(entries).map(entry).collect())
            }
            Kind::Override(content) => Kind::Override(Box::new(self.tree(&cursor.with_node(content)))),
            other => other.clone(),
        };
        Node { id: cursor.node.id, kind }
    }

    fn text(&self, cursor: &Cursor<'_>, text: &str) -> Kind {
        let unset = |name: &str| (self.unset)(cursor, name);
        let scope = Scope { lookup: self.lookup, unset: &unset, dialect: self.dialect };
        let mut left = self.left.get();
        let new = interpolate(text, scope, &mut left);
        self.left.set(left);
        match new {
            // `tty: ${TTY}` is to be a switch.
            Ok(new) if matches!(new.as_str(), "true" | "false") => Kind::Bool(new == "true"),
            Ok(new) => Kind::Text(new),
            Err(Problem { problem, quiet, remedy }) => {
                cursor.fault(if cursor.is_quiet() { quiet.to_owned() } else { problem }, remedy);
                self.failed.set(true);
                Kind::Null
            }
        }
    }
}

/// The text with its variables in place, at most `left` bytes of it, which are then that many less, after a fault too.
pub(super) fn interpolate(text: &str, scope: Scope<'_>, left: &mut usize) -> Result<String, Problem> {
    part(text, scope, 0, left)
}

/// A text, or a word of `depth` variables around it.
fn part(text: &str, scope: Scope<'_>, depth: usize, left: &mut usize) -> Result<String, Problem> {
    let mut out = String::new();
    let mut rest = text;
    loop {
        let next = rest.find('$').unwrap_or(rest.len());
        add(&mut out, &rest[..next], left)?;
        rest = &rest[next..];
        let Some(after) = rest.strip_prefix('$') else { return Ok(out) };
        if let Some(after) = after.strip_prefix('$') {
            add(&mut out, "$", left)?;
            rest = after;
        } else if let Some(inner) = after.strip_prefix('{') {
            let (value, after) = braced(rest, inner, scope, depth, left)?;
            add(&mut out, &value, left)?;
            rest = after;
        } else {
            let (name, after) = name(after);
            if name.is_empty() && scope.dialect == Dialect::Stack {
                return Err(Problem {
                    problem: format!("found `$` without the name of a variable in {}", quote(text)),
                    quiet: "found `$` without the name of a variable",
                    remedy: "valid are `$NAME`, `${NAME}`, and `$$` for a dollar sign".into(),
                });
            }
            match (scope.lookup)(name) {
                _ if name.is_empty() => add(&mut out, "$", left)?,
                Some(value) => add(&mut out, &value, left)?,
                None => (scope.unset)(name),
            }
            rest = after;
        }
    }
}

/// The value of a variable in braces, and what follows it.
fn braced<'a>(
    whole: &'a str,
    inner: &'a str,
    scope: Scope<'_>,
    depth: usize,
    left: &mut usize,
) -> Result<(String, &'a str), Problem> {
    let unclosed = || Problem {
        problem: format!("found {} without its closing brace", quote(whole)),
        quiet: "found `${` without its closing brace",
        remedy: "valid is one such as `${NAME:-default}`".to_owned(),
    };
    if depth >= MOST_NESTED {
        let problem = "variables are nested too deeply";
        let remedy = format!("valid are up to {MOST_NESTED} levels");
        return Err(Problem { problem: problem.into(), quiet: problem, remedy });
    }
    let (name, after) = name(inner);
    let value = (scope.lookup)(name);
    if let Some(rest) = after.strip_prefix('}').filter(|_| !name.is_empty()) {
        if value.is_none() {
            (scope.unset)(name);
        }
        return Ok((value.as_deref().unwrap_or_default().to_owned(), rest));
    }
    if after.is_empty() {
        return Err(unclosed());
    }
    let (empty_counts, operator) = match after.strip_prefix(':') {
        Some(operator) => (false, operator),
        None => (true, after),
    };
    let mut chars = operator.chars();
    let signs = match scope.dialect {
        Dialect::Compose => "-?+",
        // `docker stack deploy` knows no other (docker/cli, `cli/compose/template`).
        Dialect::Stack => "-?",
    };
    let sign = chars.next().filter(|sign| signs.contains(*sign) && !name.is_empty());
    let Some(sign) = sign else {
        let forms = match scope.dialect {
            Dialect::Compose => "`:-default`, `-default`, `:?error`, `?error`, `:+other` and `+other`",
            Dialect::Stack => "`:-default`, `-default`, `:?error` and `?error`",
        };
        return Err(Problem {
            problem: format!("found {}", quote(whole)),
            quiet: "found `${` before what is no variable",
            remedy: format!("valid are `${{NAME}}`, and after the name {forms}"),
        });
    };
    let end = closing(chars.as_str(), scope.dialect).ok_or_else(unclosed)?;
    let (word, rest) = (&chars.as_str()[..end], &chars.as_str()[end + 1..]);
    let set = value.filter(|value| empty_counts || !value.is_empty());
    if set.is_some() != (sign == '+') {
        // As in Compose, a word that is not used is not looked at: `${A:-${B:?}}` with A set.
        return Ok((set.as_deref().unwrap_or_default().to_owned(), rest));
    }
    let mut scratch = *left;
    let word = match scope.dialect {
        Dialect::Compose => part(word, scope, depth + 1, &mut scratch),
        Dialect::Stack => Ok(word.to_owned()),
    };
    if word.is_err() || sign == '?' {
        // Each of many words costs as much, though none of them is taken over.
        *left = scratch;
    }
    let word = word?;
    if sign != '?' {
        return Ok((word, rest));
    }
    let why = if word.is_empty() { String::new() } else { format!(": {}", quote(&word)) };
    Err(Problem {
        problem: format!("the variable {} is required{why}", quote(name)),
        quiet: "a variable is required that is not set",
        remedy: SET_IT.into(),
    })
}

/// Where the brace stands that closes a variable whose word begins this text.
///
/// compose-go looks for it in the word's own line: braces are counted, and where they do not balance it is the line's last.
/// Its count passes over the character after each `{`, so that `${A:-{{x}}}` with A set leaves a `}` and `${A:-{}} ${B:-{}}`
/// is one variable, which nobody means: here `{}` and `{{` are braces as any other. A word of several lines, which compose-go
/// refuses, ends where its braces balance.
fn closing(text: &str, dialect: Dialect) -> Option<usize> {
    if dialect == Dialect::Stack {
        return text.find('}');
    }
    let line = text.split('\n').next().unwrap_or_default();
    balanced(line).or_else(|| line.rfind('}')).or_else(|| balanced(text))
}

/// Where the first brace stands that closes more than was opened.
fn balanced(text: &str) -> Option<usize> {
    let mut open = 0usize;
    text.bytes().position(|byte| match byte {
        b'{' => {
            open += 1;
            false
        }
        b'}' if open == 0 => true,
        b'}' => {
            open -= 1;
            false
        }
        _ => false,
    })
}

fn add(out: &mut String, text: &str, left: &mut usize) -> Result<(), Problem> {
    *left = left.checked_sub(text.len()).ok_or_else(|| {
        let problem = "the values of its variables make the text too large";
        Problem { problem: problem.into(), quiet: problem, remedy: "valid are up to 4194304 bytes".into() }
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
            "SET" => Some(Rc::from("value")),
            "EMPTY" => Some(Rc::from("")),
            "LONG" => Some(Rc::from("x".repeat(600))),
            _ => None,
        };
        interpolate(text, Scope { lookup: &lookup, unset: &|_| {}, dialect: Dialect::Compose }, &mut 1000)
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
            ("a $", "a $"),
            ("^x$|$1|$.|$(date)", "^x$|$1|$.|$(date)"),
            ("${NONE:-$(a) $}$", "$(a) $$"),
            ("$$$SET$", "$value$"),
            ("$\u{e9}", "$\u{e9}"),
            ("${SET:-$}${SET:-${}}", "valuevalue"),
        ] {
            assert_eq!(with(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_variable_ends_at_the_brace_that_closes_it() {
        for (text, expected) in [
            // As compose-go has them.
            (r#"${SET:-{"x":1}}."#, "value."),
            (r#"${NONE:-{"x":1}}."#, r#"{"x":1}."#),
            (r#"${SET:+{"x":{"y":1}}}${SET:?{a}}"#, r#"{"x":{"y":1}}value"#),
            ("${NONE:-{$SET}}${SET:-{${NONE}}}", "{value}value"),
            ("${NONE:-a}}${SET:-a}}b}", "a}value}b}"),
            ("${NONE:-{a} b } c\n}", "{a} b  c\n}"),
            // Its braces do not balance: it ends with the last of the line.
            ("${NONE:-{a}.", "{a."),
            ("${SET:-{a}.", "value."),
            ("${NONE:-{a} $SET} ${SET}\n${NONE:-{}", "{a} value value\n{"),
            ("${SET:-{a} ${NONE}", "value"),
            // What compose-go counts wrong, or refuses.
            ("${SET:-{{.Name}}}.${NONE:-{{.Name}}}", "value.{{.Name}}"),
            ("${SET:-{}} ${NONE:-{}}", "value {}"),
            ("${NONE:-{\n{a}\n}}.", "{\n{a}\n}."),
        ] {
            assert_eq!(with(text), Ok(expected.to_owned()), "{text}");
        }
        let problem = with("${NONE:-{a} ${SET}").map_err(|problem| problem.problem);
        assert_eq!(problem, Err("found `${SET` without its closing brace".to_owned()));
    }

    #[test]
    fn in_a_stack_file_a_variable_ends_at_the_first_brace_and_its_default_is_text() {
        let lookup = |name: &str| (name == "SET").then(|| Rc::from("value"));
        let stack = Scope { lookup: &lookup, unset: &|_| {}, dialect: Dialect::Stack };
        for (text, expected) in [
            (r#"${SET:-{"x":1}}"#, "value}"),
            (r#"${NONE:-{"x":1}}"#, r#"{"x":1}"#),
            ("${NONE:-${SET}}${NONE-$$}", "${SET}$$"),
            ("${NONE:-{a}${SET}", "{avalue"),
            ("${NONE:-a\nb}", "a\nb"),
        ] {
            assert_eq!(interpolate(text, stack, &mut 1000), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_growth_is_bounded() {
        for (text, expected) in [
            ("${SET", "found `${SET` without its closing brace"),
            ("${SET:-a", "found `${SET:-a` without its closing brace"),
            ("${}", "found `${}`"),
            ("${SET!}", "found `${SET!}`"),
            ("${NONE:?say it}", "the variable `NONE` is required: `say it`"),
            ("${EMPTY:?}", "the variable `EMPTY` is required"),
            ("$LONG$LONG", "the values of its variables make the text too large"),
            (&format!("{}{}", "${A:-".repeat(40), "}".repeat(40)), "variables are nested too deeply"),
        ] {
            assert_eq!(with(text).map_err(|problem| problem.problem), Err(expected.to_owned()), "{text}");
        }
        let strict = Scope { lookup: &|_| None, unset: &|_| {}, dialect: Dialect::Stack };
        for text in ["a $", "$1", "$(date)"] {
            let problem = format!("found `$` without the name of a variable in {}", quote(text));
            assert_eq!(interpolate(text, strict, &mut 1000).map_err(|it| it.problem), Err(problem));
        }
        // `docker stack deploy` refuses it too.
        for text in ["${A:+x}", "${A+x}"] {
            let problem = interpolate(text, strict, &mut 1000).expect_err("an error");
            assert_eq!(problem.problem, format!("found `{text}`"));
            assert!(!problem.remedy.contains('+'), "{}", problem.remedy);
        }
    }

    #[test]
    fn what_was_written_before_a_fault_counts() {
        let lookup = |name: &str| (name == "LONG").then(|| Rc::from("x".repeat(600)));
        let scope = Scope { lookup: &lookup, unset: &|_| {}, dialect: Dialect::Compose };
        for (text, expected) in [
            ("$LONG", 400),
            ("$LONG${", 400),
            ("${A:-$LONG${}", 400),
            ("${A:-$LONG", 1000),
            ("${A:?$LONG}", 400),
            ("${A:+$LONG}", 1000),
            ("${A:-${B:-$LONG}}", 400),
        ] {
            let mut left = 1000;
            let _ = interpolate(text, scope, &mut left);
            assert_eq!(left, expected, "{text}");
        }
    }

    #[test]
    fn a_variable_is_unset_where_it_is_used_without_a_default() {
        for (text, expected) in [
            ("$NONE ${NONE} $SET ${EMPTY}", &["NONE", "NONE"][..]),
            ("${NONE:-a}${NONE-a}${NONE:+a}${NONE+a}", &[]),
            ("${NONE:-$OTHER}${SET:-$THIRD}${SET:+${FOURTH}}", &["OTHER", "FOURTH"]),
            ("$ $$NONE $(NONE)", &[]),
        ] {
            let found = std::cell::RefCell::default();
            let lookup = |name: &str| match name {
                "SET" => Some(Rc::from("value")),
                "EMPTY" => Some(Rc::from("")),
                _ => None,
            };
            let unset = |name: &str| Vec::push(&mut found.borrow_mut(), name.to_owned());
            let scope = Scope { lookup: &lookup, unset: &unset, dialect: Dialect::Compose };
            assert!(interpolate(text, scope, &mut 1000).is_ok(), "{text}");
            assert_eq!(found.into_inner(), expected, "{text}");
        }
    }
}
