//! The answer of a search, for people: what was found first, then the curve it was found on.

use std::fmt::Write as _;

use super::Style;
use crate::cli::Axis;
use crate::find::{Answer, HEADROOM, Point, Row, Step, Usl};
use crate::human::{bytes, counted, decimal, grouped, time};
use crate::judge::Verdict;

/// A load with its unit.
fn load(axis: Axis, value: f64) -> String {
    match axis {
        Axis::Rate => format!("{} messages/s", decimal(value)),
        Axis::Connections => counted(value as u64, "connection"),
    }
}

pub(super) fn step_line(axis: Axis, step: &Step, style: Style) -> String {
    let mark = if step.passed { style.good("\u{2713}") } else { style.bad("\u{2717}") };
    let mut line = format!("{mark} {:>24}", load(axis, step.load));
    if let Some(run) = &step.run {
        for held in &run.held {
            let _ = write!(line, "  {held}");
        }
        if run.judgement.verdict != Verdict::Valid {
            let _ = write!(line, "  {}", run.judgement.verdict.name());
        }
    }
    if let Some((limit, why)) = &step.limit {
        let _ = write!(line, "  {}", style.doubtful(&format!("{}: {why}", limit.name())));
    }
    line
}

pub(super) fn text(answer: &Answer, style: Style) -> String {
    let mut lines = vec![style.heading(&headline(answer))];
    if let (Some((limit, why)), Some(failing)) = (&answer.gave_way, answer.interval.failing) {
        let at = load(answer.axis, failing);
        lines.push(format!("at {at} this gave way: {}: {why}", limit.name()));
    }
    if answer.interrupted {
        lines.push(style.doubtful("interrupted: the search did not come to its end"));
    }
    lines.push(String::new());
    lines.extend(curve(answer, style));
    if let Some(why) = &answer.curve_error {
        lines.push(style.doubtful(&format!("the curve ends early: {why}")));
    }
    if let Some(usl) = &answer.usl {
        lines.push(String::new());
        lines.push(law(usl));
    }
    if !answer.sizing.is_empty() {
        lines.push(String::new());
        lines.extend(sizing(&answer.sizing, style));
    }
    lines.push(String::new());
    lines.join("\n") + "\n"
}

fn headline(answer: &Answer) -> String {
    let of = |value| load(answer.axis, value);
    match (answer.interval.passing, answer.interval.failing) {
        (Some(low), Some(high)) => {
            format!("highest load that passes: {}; lowest that fails: {}", of(low), of(high))
        }
        (Some(low), None) => format!("{} pass, the most that was to be tried", of(low)),
        (None, Some(high)) => format!("nothing passes; the lowest that was tried: {}", of(high)),
        (None, None) => "nothing was found out".to_owned(),
    }
}

fn curve(answer: &Answer, style: Style) -> Vec<String> {
    let head = format!(
        "{:>14} {:>6} {:>12} {:>9} {:>9} {:>9} {:>9} {:>9}",
        answer.axis.name(),
        "passes",
        "sent/s",
        "p50",
        "p99",
        "p99.9",
        "errors",
        "us/msg"
    );
    let mut lines = vec![style.heading(&head)];
    lines.extend(answer.curve.iter().map(|point| point_line(point, style)));
    if let Some(kind) = answer.curve.iter().find_map(|point| point.kind) {
        let text = format!("latencies are of {}; us/msg is the server's CPU", kind.name());
        lines.push(style.aside(&text));
    }
    lines
}

fn point_line(point: &Point, style: Style) -> String {
    let cell = |ns: Option<u64>| ns.map_or("-".to_owned(), time);
    let passes = match (point.passed, point.verdict) {
        (true, _) => "yes",
        (false, Verdict::Valid) => "no",
        (false, _) => "no *",
    };
    let line = format!(
        "{:>14} {passes:>6} {:>12} {:>9} {:>9} {:>9} {:>8.3}% {:>9}",
        decimal(point.load),
        decimal(point.rate_achieved),
        cell(point.latency.map(|l| l.p50)),
        cell(point.latency.map(|l| l.p99)),
        cell(point.latency.map(|l| l.p999)),
        point.errors * 100.0,
        point.server_cpu_us_per_message.map_or("-".to_owned(), |us| format!("{us:.2}")),
    );
    if point.passed { line } else { style.aside(&line) }
}

fn law(usl: &Usl) -> String {
    let mut text = format!(
        "scalability law: {} messages/s for one at a time, contention {:.4}, coherency {:.2e} \
         (R^2 {:.3})",
        decimal(usl.lambda),
        usl.sigma,
        usl.kappa,
        usl.r_squared
    );
    if let Some(peak) = usl.peak {
        let _ = write!(text, "; extrapolated peak {} messages/s", decimal(peak));
        if let Some([low, high]) = usl.peak_interval {
            let _ = write!(text, " (95 %: {} to {})", decimal(low), decimal(high));
        }
    }
    text
}

fn sizing(rows: &[Row], style: Style) -> Vec<String> {
    let head = format!("{:>10} {:>14} {:>9} {:>12}", "users", "messages/s", "machines", "memory");
    let mut lines = vec![style.heading(&head)];
    lines.extend(rows.iter().map(|row| {
        let memory = row.memory_bytes.map_or("-".to_owned(), bytes);
        let rate = decimal(row.messages_per_second);
        let users = grouped(row.users);
        format!("{users:>10} {rate:>14} {:>9} {memory:>12}", row.machines)
    }));
    let percent = HEADROOM * 100.0;
    lines.push(style.aside(&format!(
        "machines like this one at {percent:.0} % of what was found, each user sending as here; \
         multiplied, not measured"
    )));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::{Interval, Limit};

    fn answer(passing: Option<f64>, failing: Option<f64>) -> Answer {
        Answer {
            axis: Axis::Rate,
            interval: Interval { passing, failing },
            gave_way: failing.map(|_| (Limit::Latency, "response.p99<20ms: 25.0ms".to_owned())),
            curve: Vec::new(),
            usl: None,
            sizing: Vec::new(),
            steps: Vec::new(),
            interrupted: false,
            curve_error: None,
        }
    }

    #[test]
    fn the_answer_comes_first() {
        let first = |answer: &Answer| text(answer, Style::PLAIN).lines().next().unwrap().to_owned();
        assert_eq!(
            first(&answer(Some(40_000.0), Some(42_000.0))),
            "highest load that passes: 40,000 messages/s; lowest that fails: 42,000 messages/s"
        );
        assert!(first(&answer(Some(1e6), None)).contains("the most that was to be tried"));
        assert!(first(&answer(None, Some(1.0))).starts_with("nothing passes"));
        let broken = Some("the server is gone".to_owned());
        let all = text(&Answer { curve_error: broken, ..answer(None, None) }, Style::PLAIN);
        assert!(all.contains("the curve ends early: the server is gone\n"), "{all}");
        let all = text(&answer(Some(1.0), Some(2.0)), Style::PLAIN);
        assert!(
            all.contains("at 2.00 messages/s this gave way: latency: response.p99<20ms: 25.0ms")
        );
    }
}
