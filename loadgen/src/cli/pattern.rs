//! Text with placeholders: `{name}` or `{name:argument}`. Any other brace is a brace, so that JSON
//! can be written as it is; `{{` is one brace where it would begin a placeholder.

use std::path::Path;
use std::sync::Arc;

use super::input;
use super::usage::{UsageError, refuse};

/// A part of a text with placeholders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Part<'a> {
    /// Itself.
    Literal(String),
    /// What stands for something else.
    Placeholder {
        /// Lower-case letters.
        name: &'a str,
        /// What follows the colon.
        argument: Option<&'a str>,
    },
}

/// The parts of a text in their order; no two literals follow each other.
pub(super) fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
    while let Some(at) = rest.find('{') {
        literal.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('{').filter(|after| placeholder(after).is_some()) {
            literal.push('{');
            rest = after;
        } else if let Some((name, argument, after)) = placeholder(rest) {
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Placeholder { name, argument });
            rest = after;
        } else {
            literal.push('{');
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    parts
}

/// Name, argument and what follows, of a text behind its opening brace.
fn placeholder(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let (inside, after) = text.split_once('}')?;
    let (name, argument) = match inside.split_once(':') {
        Some((name, argument)) => (name, Some(argument)),
        None => (inside, None),
    };
    let word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
    word.then_some((name, argument, after))
}

/// The refusal of a placeholder that is not known here.
pub(super) fn unknown<T>(
    input: impl Into<String>,
    name: &str,
    known: &str,
) -> Result<T, UsageError> {
    let rule = format!("the placeholder {{{name}}} is unknown here");
    refuse(input, rule, format!("use {known}, or write {{{{{name}}} for the words themselves"))
}

/// Text of a request that may differ from connection to connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(Vec<Piece>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Literal(String),
    /// The connection's number in the run.
    Connection,
    /// Its line of a file, the first again after the last.
    Line(Arc<[String]>),
}

impl Pattern {
    /// Reads `{connection}` and `{line:FILE}`, and the files.
    pub(super) fn parse(flag: &str, text: &str) -> Result<Self, UsageError> {
        let input = || format!("{flag} '{}'", text.escape_debug());
        let piece = |part| match part {
            Part::Literal(text) => Ok(Piece::Literal(text)),
            Part::Placeholder { name: "connection", argument: None } => Ok(Piece::Connection),
            Part::Placeholder { name: "line", argument: Some(path) } => {
                Ok(Piece::Line(input::lines(&input(), Path::new(path))?.into()))
            }
            Part::Placeholder { name, .. } => unknown(input(), name, "{connection} or {line:FILE}"),
        };
        Ok(Self(parts(text).into_iter().map(piece).collect::<Result<_, _>>()?))
    }

    /// The text of one connection.
    pub fn fill(&self, connection: u32) -> String {
        let number = connection.to_string();
        let mut filled = String::new();
        for piece in &self.0 {
            filled.push_str(match piece {
                Piece::Literal(text) => text,
                Piece::Connection => &number,
                Piece::Line(lines) => &lines[connection as usize % lines.len()],
            });
        }
        filled
    }

    /// Whether connections differ.
    pub(crate) fn is_personal(&self) -> bool {
        self.0.iter().any(|piece| !matches!(piece, Piece::Literal(_)))
    }

    /// Everything that any connection's text is made of.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .flat_map(|piece| match piece {
                Piece::Literal(text) => std::slice::from_ref(text),
                Piece::Connection => &[],
                Piece::Line(lines) => lines,
            })
            .map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn braces_of_json_are_no_placeholders() {
        let literal = |text: &str| Part::Literal(text.to_owned());
        let name = |name| Part::Placeholder { name, argument: None };
        for (text, expected) in [
            ("", vec![]),
            ("plain", vec![literal("plain")]),
            ("{id}", vec![name("id")]),
            ("a{id}b{n}", vec![literal("a"), name("id"), literal("b"), name("n")]),
            (r#"{"a":{"b":{}}}"#, vec![literal(r#"{"a":{"b":{}}}"#)]),
            (r#"{"n":{id}}"#, vec![literal(r#"{"n":"#), name("id"), literal("}")]),
            ("{{id}", vec![literal("{id}")]),
            ("{{", vec![literal("{{")]),
            ("{ID}{i d}{", vec![literal("{ID}{i d}{")]),
            ("{line:a b}", vec![Part::Placeholder { name: "line", argument: Some("a b") }]),
        ] {
            assert_eq!(parts(text), expected, "{text}");
        }
    }

    #[test]
    fn each_connection_has_its_own_text() {
        let path = std::env::temp_dir().join(format!("loadgen-{}-tokens", std::process::id()));
        std::fs::write(&path, "red\ngreen\n").unwrap();
        let text = format!("user {{connection}}: {{line:{}}}", path.display());
        let pattern = Pattern::parse("-H", &text).unwrap();
        std::fs::remove_file(path).unwrap();
        let filled: Vec<_> = (0..3).map(|connection| pattern.fill(connection)).collect();
        assert_eq!(filled, ["user 0: red", "user 1: green", "user 2: red"]);
        assert!(pattern.is_personal() && !Pattern::parse("-H", "x").unwrap().is_personal());
        assert_eq!(pattern.texts().collect::<Vec<_>>(), ["user ", ": ", "red", "green"]);
    }

    #[test]
    fn what_is_unknown_is_named() {
        let error = Pattern::parse("-H", "a{user}").unwrap_err().to_string();
        assert!(error.contains("{user} is unknown") && error.contains("{{user}"), "{error}");
        let error = Pattern::parse("-H", "{line:/no/such/file}").unwrap_err().to_string();
        assert!(error.contains("/no/such/file") && error.contains("cannot be read"), "{error}");
    }

    proptest! {
        /// Nothing is lost but the braces of placeholders and the second of two.
        #[test]
        fn any_text(text in "[a-c{}:\"]{0,20}") {
            let written = parts(&text).into_iter().map(|part| match part {
                Part::Literal(text) => text,
                Part::Placeholder { name, argument: None } => format!("{{{name}}}"),
                Part::Placeholder { name, argument: Some(argument) } => {
                    format!("{{{name}:{argument}}}")
                }
            });
            let again: String = written.collect();
            prop_assert!(again == text || text.contains("{{"), "{} {}", text, again);
        }
    }
}
