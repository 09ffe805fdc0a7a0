//! The members of a request's body, taken one by one, so that an error can name each.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::auth::one_line;

/// What is left of a body.
#[derive(Debug)]
pub(super) struct Fields(BTreeMap<String, Box<RawValue>>);

/// What is wrong with a body: a sentence for whoever sent it.
pub(super) type Mistake = String;

impl Fields {
    /// Reads a body; no body is an object without members.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Mistake> {
        if body.trim_ascii().is_empty() {
            return Ok(Self(BTreeMap::new()));
        }
        serde_json::from_slice(body).map(Self).map_err(|e| {
            format!("the body is not a JSON object (line {}, column {})", e.line(), e.column())
        })
    }

    /// A member, or `None` if it is missing or null.
    pub(super) fn optional<T: DeserializeOwned>(
        &mut self,
        name: &str,
        kind: &str,
    ) -> Result<Option<T>, Mistake> {
        let Some(value) = self.0.remove(name) else { return Ok(None) };
        serde_json::from_str(value.get()).map_err(|_| format!("{name} is not {kind}"))
    }

    /// A member that must be there.
    pub(super) fn required<T: DeserializeOwned>(
        &mut self,
        name: &str,
        kind: &str,
    ) -> Result<T, Mistake> {
        self.optional(name, kind)?.ok_or_else(|| format!("{name} is missing: {kind}"))
    }

    /// A text that must be there and not be empty.
    pub(super) fn name(&mut self, name: &str) -> Result<Box<str>, Mistake> {
        let text: Box<str> = self.required(name, "a string")?;
        if text.is_empty() { Err(format!("{name} is empty")) } else { Ok(text) }
    }

    /// A text, `None` if it is missing or empty.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<Box<str>>, Mistake> {
        Ok(self.optional::<Box<str>>(name, "a string")?.filter(|text| !text.is_empty()))
    }

    /// A switch; off if it is missing.
    pub(super) fn switch(&mut self, name: &str) -> Result<bool, Mistake> {
        Ok(self.optional(name, "true or false")?.unwrap_or_default())
    }

    /// JSON as it was written, on one line.
    pub(super) fn json(&mut self, name: &str) -> Option<Box<str>> {
        self.0.remove(name).map(|value| one_line(value.get()))
    }

    /// Nothing else may have been asked for: what is ignored silently is taken for done. Libraries
    /// send members that they do not use as null, false, 0 or empty.
    pub(super) fn done(self) -> Result<(), Mistake> {
        let unused = ["null", "false", "0", "\"\"", "[]", "{}"];
        let asked = self.0.into_iter().find(|(_, value)| !unused.contains(&value.get()));
        asked.map_or(Ok(()), |(name, _)| Err(format!("{name} is not supported here")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_by_name_and_type() {
        let mut fields = Fields::parse(
            b"{\"a\":\"x\",\"b\":true,\"data\":{\n\"k\": [1]},\"n\":5,\"e\":\"\",\"z\":null}",
        )
        .unwrap();
        assert_eq!(fields.name("a").as_deref(), Ok("x"));
        assert_eq!((fields.switch("b"), fields.switch("none")), (Ok(true), Ok(false)));
        assert_eq!(fields.json("data").as_deref(), Some("{ \"k\": [1]}"));
        assert_eq!(fields.optional::<i64>("n", "a number"), Ok(Some(5)));
        assert_eq!(fields.text("e"), Ok(None));
        assert_eq!(fields.text("z"), Ok(None));
        assert_eq!(fields.done(), Ok(()));
    }

    #[test]
    fn mistakes_are_named() {
        let parse = |text: &str| Fields::parse(text.as_bytes()).unwrap();
        assert_eq!(parse("{}").name("channel").unwrap_err(), "channel is missing: a string");
        assert_eq!(parse("").name("channel").unwrap_err(), "channel is missing: a string");
        assert_eq!(parse(r#"{"a":""}"#).name("a").unwrap_err(), "a is empty");
        assert_eq!(parse(r#"{"a":1}"#).name("a").unwrap_err(), "a is not a string");
        assert_eq!(parse(r#"{"a":1}"#).switch("a").unwrap_err(), "a is not true or false");
        assert_eq!(parse(r#"{"tags":{"a":1}}"#).done().unwrap_err(), "tags is not supported here");
        assert_eq!(parse(r#"{"tags":{},"delta":false}"#).done(), Ok(()));
        for bad in ["[]", "1", "{", "{\"a\":}", "{} {}", "\u{0}"] {
            assert!(Fields::parse(bad.as_bytes()).unwrap_err().contains("column"), "{bad}");
        }
    }
}
