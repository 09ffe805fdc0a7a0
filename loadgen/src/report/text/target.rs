//! The servers that were under load.

use super::Page;
use crate::human::grouped;
use crate::measure::Outcome;

/// All of them, and which had which connections if there are several.
pub(super) fn lines(outcome: &Outcome, page: &mut Page) {
    let embedded = if outcome.embedded { " (a server inside this process)" } else { "" };
    page.line("target", &format!("{}{embedded}", outcome.target));
    for server in outcome.servers.iter().filter(|_| outcome.servers.len() > 1) {
        let early = match server.closed_early {
            0 => String::new(),
            early => format!(", {} closed early", grouped(early)),
        };
        let text = format!(
            "{}: {} of {} connections{early}",
            server.url,
            grouped(server.established),
            grouped(server.requested)
        );
        page.aside(&text);
    }
}
