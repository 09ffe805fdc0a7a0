//! A comparison for people: each figure of both sides, then the answer.

use super::{Comparison, Finding, Row};
use crate::human::{decimal, time};
use crate::report::Style;

/// The table and the sentence below it.
pub fn report(comparison: &Comparison, style: Style) -> String {
    let mut lines = vec![
        format!("A  {}", comparison.a.join(", ")),
        format!("B  {}", comparison.b.join(", ")),
        String::new(),
    ];
    let percent = comparison.confidence * 100.0;
    let head = format!(
        "{:<16} {:>10} {:>10} {:>8}   {:<20}",
        "",
        "A",
        "B",
        "B / A",
        format!("{} % interval", trimmed(percent))
    );
    lines.push(style.heading(head.trim_end()));
    lines.extend(comparison.rows.iter().map(|row| line(row, style)));
    if comparison.rows.iter().any(|row| row.few) {
        let note = "* fewer than 100 samples of a side lie beyond it: a few stalls decide it";
        lines.push(style.aside(note));
    }
    if comparison.rows.iter().any(|row| row.decides && row.metric == "errors") {
        let note = "errors that --metric does not name decide beyond 0.1 percentage point only";
        lines.push(style.aside(note));
    }
    let note = "> decides; the interval of errors is that of the difference, in percentage points";
    lines.push(style.aside(note));
    lines.push(String::new());
    lines.extend(comparison.doubts.iter().map(|doubt| style.doubtful(&format!("! {doubt}"))));
    lines.push(answer(comparison, style));
    lines.join("\n") + "\n"
}

fn line(row: &Row, style: Style) -> String {
    let cell = |value: Option<f64>| value.map_or("-".to_owned(), |value| shown(row, value));
    let ratio = row.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.3}"));
    let interval = match row.interval {
        None => "not known".to_owned(),
        Some([low, high]) if row.metric == "errors" => {
            format!("{:+.3} to {:+.3}", low * 100.0, high * 100.0)
        }
        Some([low, high]) => format!("{low:.3} to {high:.3}"),
    };
    let word = match row.finding {
        Finding::Worse => style.bad("worse"),
        Finding::Better => style.good("better"),
        Finding::Same => style.aside("within noise"),
        Finding::Unknown => style.doubtful("too little to say"),
    };
    format!(
        "{} {:<14} {:>10} {:>10} {:>8}{}  {interval:<20} {word}",
        if row.decides { '>' } else { ' ' },
        row.metric,
        cell(row.a),
        cell(row.b),
        ratio,
        if row.few { '*' } else { ' ' },
    )
}

fn shown(row: &Row, value: f64) -> String {
    match row.metric.as_str() {
        "rate" => decimal(value) + "/s",
        "errors" => format!("{:.3} %", value * 100.0),
        _ => time(value as u64),
    }
}

fn trimmed(percent: f64) -> String {
    let text = format!("{percent:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn answer(comparison: &Comparison, style: Style) -> String {
    let deciding = || comparison.rows.iter().filter(|row| row.decides);
    let named = |finding| {
        let rows = deciding().filter(|row| row.finding == finding);
        rows.map(|row| row.metric.as_str()).collect::<Vec<_>>().join(", ")
    };
    let more = trimmed(comparison.threshold * 100.0);
    match comparison.finding {
        Finding::Worse => style.bad(&format!(
            "B is worse than A by {}, beyond noise and by more than {more} %",
            named(Finding::Worse)
        )),
        Finding::Better => style.good(&format!(
            "B is better than A by {}, beyond noise and by more than {more} %",
            named(Finding::Better)
        )),
        Finding::Unknown => {
            let why = deciding().find_map(|row| row.too_little.as_deref());
            style.doubtful(&format!(
                "there is too little to say anything of {}: {}",
                named(Finding::Unknown),
                why.unwrap_or("measure for longer")
            ))
        }
        Finding::Same => {
            let unseen = deciding().filter(|row| row.metric != "errors" && row.metric != "rate");
            let highest = unseen.filter_map(|row| Some((&row.metric, row.interval?[1])));
            let highest = highest.max_by(|a, b| a.1.total_cmp(&b.1));
            let rest = match highest.filter(|(_, high)| *high > 1.0) {
                Some((metric, high)) => format!(
                    "; {metric} could be up to {:.0} % longer without being seen here",
                    (high - 1.0) * 100.0
                ),
                None => String::new(),
            };
            style.good(&format!("B is not worse than A beyond noise{rest}"))
        }
    }
}
