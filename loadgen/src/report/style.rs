//! Colours, for terminals whose user wants them.

use std::env;
use std::io::IsTerminal;

/// Whether text is coloured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Style {
    coloured: bool,
}

/// SGR codes (ECMA-48 8.3.117).
const BOLD: &str = "1";
const RED: &str = "1;31";
const GREEN: &str = "1;32";
const YELLOW: &str = "1;33";
const DIM: &str = "2";

impl Style {
    /// No colour.
    pub const PLAIN: Self = Self { coloured: false };

    /// Colours if the stream is a terminal that has them and `NO_COLOR` (no-color.org) is not set.
    pub fn of(stream: &impl IsTerminal) -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { coloured: stream.is_terminal() && !refused && !dumb }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.paint(GREEN, text)
    }

    pub(crate) fn doubtful(self, text: &str) -> String {
        self.paint(YELLOW, text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.paint(RED, text)
    }

    pub(crate) fn heading(self, text: &str) -> String {
        self.paint(BOLD, text)
    }

    pub(crate) fn aside(self, text: &str) -> String {
        self.paint(DIM, text)
    }

    #[cfg(test)]
    pub(super) const COLOURED: Self = Self { coloured: true };
}
