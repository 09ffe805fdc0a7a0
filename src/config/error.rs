//! What is wrong with an option.

use std::borrow::Cow;
use std::fmt;

/// An option that breaks a rule. Shown as: option, input, rule, remedy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The option as it is written on the command line.
    pub option: &'static str,
    /// The text that was given for it.
    pub input: String,
    /// The rule that the text breaks.
    pub rule: Cow<'static, str>,
    /// What to do instead.
    pub remedy: Cow<'static, str>,
}

impl ConfigError {
    pub(crate) fn new(
        option: &'static str,
        input: &str,
        rule: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { option, input: input.to_owned(), rule: rule.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The input may hold anything: escaped, it can not forge a line of a log.
        let Self { option, input, rule, remedy } = self;
        write!(out, "{option} '{}': {rule}; {remedy}", input.escape_debug())
    }
}

impl std::error::Error for ConfigError {}
