//! The findings for people.

use super::{Finding, State};
use crate::report::Style;

/// A line for each finding, the reason below it, and the commands that mend what is short.
pub fn report(findings: &[Finding], style: Style) -> String {
    let name = findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for finding in findings {
        let word = match finding.state {
            State::Enough => style.good("enough  "),
            State::Doubtful => style.doubtful("doubtful"),
            State::Short => style.bad("short   "),
            State::Unknown => style.aside("unknown "),
        };
        lines.push(format!("{word}  {:<name$}  {}", finding.name, finding.now));
        lines.push(style.aside(&format!("          {}", finding.why)));
        if let Some(remedy) = &finding.remedy {
            lines.push(format!("          fix: {remedy}"));
        }
    }
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (short, doubtful) = (count(State::Short), count(State::Doubtful));
    lines.push(String::new());
    lines.push(match (short, doubtful) {
        (0, 0) => style.good("this machine can carry the run"),
        (0, n) => {
            style.doubtful(&format!("it can carry the run; {n} of it will show in the figures"))
        }
        (n, _) => style.bad(&format!("it cannot carry the run: {n} short")),
    });
    lines.join("\n") + "\n"
}
