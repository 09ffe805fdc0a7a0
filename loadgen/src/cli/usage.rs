//! The error of a command line that contradicts itself.

/// A command line that cannot be run. Exit code 2.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{input}: {rule}; {remedy}")]
pub struct UsageError {
    /// What was written.
    pub input: String,
    /// The rule it broke.
    pub rule: String,
    /// What to do.
    pub remedy: String,
}

/// A refusal in its three parts.
pub(super) fn refuse<T>(
    input: impl Into<String>,
    rule: impl Into<String>,
    remedy: impl Into<String>,
) -> Result<T, UsageError> {
    Err(UsageError { input: input.into(), rule: rule.into(), remedy: remedy.into() })
}
