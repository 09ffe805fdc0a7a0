//! The result in the formats of `HdrHistogram`'s own tools: percentiles as text (`.hgrm`), and the
//! V2 interval log (`.hlog`), which loses nothing and can be merged.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::measure::{Kind, Outcome};

/// Both formats show milliseconds, of values in nanoseconds.
const NS_PER_MS: f64 = 1e6;
/// Steps of the percentile table in each half of what is left to 100 %.
const TICKS: u32 = 5;

/// The percentiles of what a user of the target would have waited for: `response`, else `delivery`,
/// else `ping`.
pub(super) fn percentiles(outcome: &Outcome) -> String {
    let mut text = String::new();
    let Some((kind, latency)) = outcome.answered() else {
        return "# nothing was answered\n".to_owned();
    };
    let histogram = latency.histogram();
    let _ = writeln!(text, "# {}, milliseconds", kind.name());
    let _ = writeln!(
        text,
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut seen = 0;
    for step in histogram.iter_quantiles(TICKS) {
        seen += step.count_since_last_iteration();
        let (value, quantile) = (step.value_iterated_to() as f64 / NS_PER_MS, step.quantile());
        let _ = write!(text, "{value:>12.3} {quantile:>14.12} {seen:>10}");
        // The last step is 100 %, and its reciprocal nothing that could be plotted.
        if quantile < 1.0 {
            let _ = write!(text, " {:>14.2}", 1.0 / (1.0 - quantile));
        }
        text.push('\n');
    }
    let max = histogram.max() as f64 / NS_PER_MS;
    let (mean, deviation) = (histogram.mean() / NS_PER_MS, histogram.stdev() / NS_PER_MS);
    let _ = writeln!(text, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]");
    let _ = writeln!(text, "#[Max     = {max:>12.3}, Total count    = {:>12}]", histogram.len());
    text
}

/// The interval log: every window of every kind, tagged `KIND` in the measured window and
/// `KIND-drain` after it, of several phases `KIND-PHASE` and `KIND-PHASE-drain`; connects,
/// handshakes and closes stand as one interval each.
pub(super) fn log(outcome: &Outcome) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let began = outcome.began.unwrap_or(SystemTime::UNIX_EPOCH);
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment(&format!("loadgen {}, {}", env!("CARGO_PKG_VERSION"), outcome.target))
        .with_start_time(began)
        .with_base_time(began)
        .with_max_value_divisor(NS_PER_MS)
        .begin_log_with(&mut bytes, &mut serializer)
        .map_err(|error| error.to_string())?;
    for interval in intervals(outcome) {
        let tag = Tag::new(&interval.tag);
        writer
            .write_histogram(interval.histogram, interval.begins, interval.lasts, tag)
            .map_err(|error| error.to_string())?;
    }
    drop(writer);
    Ok(bytes)
}

struct Interval<'a> {
    tag: String,
    begins: Duration,
    lasts: Duration,
    histogram: &'a Histogram<u64>,
}

fn intervals(outcome: &Outcome) -> Vec<Interval<'_>> {
    let mut found = Vec::new();
    let length = Duration::from_secs(outcome.timeline.window_s);
    let whole = || vec![(String::new(), &outcome.timeline.windows)];
    let phases = outcome.phase_results.iter().zip(&outcome.timeline.phases);
    let phases: Vec<_> =
        phases.map(|(result, windows)| (format!("-{}", result.name), windows)).collect();
    for (phase, windows) in if phases.is_empty() { whole() } else { phases } {
        for (at, window) in windows.iter().enumerate() {
            let begins = length * at as u32;
            let drain = if begins < outcome.phases.measure { "" } else { "-drain" };
            for kind in Kind::ALL {
                let Some(latency) = window.get(kind) else { continue };
                let tag = format!("{}{phase}{drain}", kind.name());
                let histogram = latency.histogram();
                found.push(Interval { tag, begins, lasts: length, histogram });
            }
        }
    }
    // Intervals of a log stand in the order of their times.
    found.sort_by_key(|interval| interval.begins);
    for kind in Kind::ALL.into_iter().filter(|kind| !kind.windowed()) {
        let Some(latency) = outcome.latencies.get(kind) else { continue };
        let (lasts, histogram) = (outcome.phases.measure, latency.histogram());
        let tag = kind.name().to_owned();
        found.push(Interval { tag, begins: Duration::ZERO, lasts, histogram });
    }
    found
}
