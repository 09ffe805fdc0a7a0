//! Ratios of candidates that take turns in one run, and the table of what they were to reach.
//!
//! Time is the thread's CPU time, so that other processes on the machine disturb less. A word after
//! `--` limits the run to the rows whose text contains it.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::cell::RefCell;

use plimsoll::wire::mask::Key;
use rustix::time::{ClockId, clock_gettime};

use super::Packed;

const ROUNDS: usize = 11;
/// Nanoseconds of CPU that one candidate gets in one round.
const SLICE: f64 = 2e6;

fn cpu_ns() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

/// One candidate: does some frames and says how many.
pub(crate) type Work<'a> = Box<dyn FnMut() -> usize + 'a>;

/// Nanoseconds a frame of each candidate: medians over interleaved rounds.
pub(crate) fn medians(mut works: Vec<Work<'_>>) -> Vec<f64> {
    let batches: Vec<_> = works.iter_mut().map(batch).collect();
    let mut samples = vec![Vec::new(); works.len()];
    for _ in 0..ROUNDS {
        for ((work, samples), batch) in works.iter_mut().zip(&mut samples).zip(&batches) {
            let start = cpu_ns();
            let mut frames = 0;
            let mut spent = 0.0;
            while spent < SLICE {
                frames += (0..*batch).map(|_| work()).sum::<usize>();
                spent = cpu_ns() - start;
            }
            samples.push(spent / frames as f64);
        }
    }
    samples.iter_mut().map(|samples| median(samples)).collect()
}

/// Warms up, and tells how often to work between two looks at the clock: a look is a system call
/// of some 200 ns, which would weigh on small frames.
fn batch(work: &mut Work<'_>) -> usize {
    let mut times = 0;
    let start = cpu_ns();
    while cpu_ns() - start < SLICE {
        work();
        times += 1;
    }
    (times / 8).max(1)
}

pub(crate) fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// Work over packed payloads.
pub(crate) fn over<'a>(
    packed: &'a RefCell<Packed>,
    mut work: impl FnMut(&mut [u8], Key) + 'a,
) -> Work<'a> {
    Box::new(move || packed.borrow_mut().walk(&mut work))
}

/// The rows printed so far.
pub(crate) struct Table {
    only: Option<String>,
    reached: usize,
    rows: usize,
}

impl Table {
    /// An empty one, for the rows that the command line asks for.
    pub(crate) fn new() -> Self {
        let only = std::env::args().skip(1).find(|word| !word.starts_with('-'));
        Self { only, reached: 0, rows: 0 }
    }

    /// Prints how many rows reached what they were to reach.
    pub(crate) fn close(&self) {
        println!("{} of {} targets reached", self.reached, self.rows);
    }

    pub(crate) fn wants(&self, what: &str) -> bool {
        self.only.as_ref().is_none_or(|only| what.contains(only.as_str()))
    }

    /// One row; `ratio` is to be `target` at least.
    pub(crate) fn row(&mut self, what: &str, ratio: f64, target: f64, note: &str) {
        let reached = ratio >= target;
        self.print(what, ratio, &format!(">= {target:.2}"), reached, note);
    }

    pub(crate) fn print(
        &mut self,
        what: &str,
        ratio: f64,
        target: &str,
        reached: bool,
        note: &str,
    ) {
        self.rows += 1;
        self.reached += usize::from(reached);
        let verdict = if reached { "reached" } else { "NOT reached" };
        println!("{what:<58} {ratio:>6.2}  {target:<8} {verdict:<12} {note}");
    }
}
