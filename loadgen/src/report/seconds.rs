//! The result second by second, as CSV (RFC 4180): a row for each window and kind.

use std::fmt::Write as _;

use crate::measure::{Kind, Outcome};

const HEAD: &str = "second,seconds,phase,kind,count,min_ns,mean_ns,p50_ns,p90_ns,p95_ns,p99_ns,\
                    p999_ns,p9999_ns,max_ns";

/// All rows. A window holds the replies that came in it; those of the drain follow the measured
/// window.
pub(super) fn csv(outcome: &Outcome) -> String {
    let mut text = format!("{HEAD}\r\n");
    let length = outcome.timeline.window_s;
    let measured = outcome.phases.measure.as_secs_f64();
    for (at, window) in outcome.timeline.windows.iter().enumerate() {
        let begins = at as u64 * length;
        let phase = if (begins as f64) < measured { "measure" } else { "drain" };
        for kind in Kind::ALL {
            let Some(latency) = window.get(kind) else { continue };
            let s = latency.summary();
            let _ = write!(
                text,
                "{begins},{length},{phase},{},{},{},{},{},{},{},{},{},{},{}\r\n",
                kind.name(),
                s.count,
                s.min,
                s.mean,
                s.p50,
                s.p90,
                s.p95,
                s.p99,
                s.p999,
                s.p9999,
                s.max
            );
        }
    }
    text
}
