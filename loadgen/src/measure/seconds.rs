//! The measured window second by second, so that a stall can be seen where it was.
//!
//! A second holds the replies that came in it. A thread cuts its own recorder at each boundary, and
//! the run adds up what all threads cut there; what was recorded in all is the sum of the seconds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Counts, Kind, Latencies, Recorder};

/// Most seconds that are kept apart: five minutes. A longer run has windows of 2, 4, 8 s.
const MOST: usize = 300;

/// Windows at the end that must agree for a steady state.
const STEADY: usize = 3;
/// How much they may differ.
const STEADY_SPREAD: f64 = 0.1;

/// Nanoseconds of the shortest window.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// What one thread recorded in one window: times with their counts, by kind.
pub(crate) type Window = [Vec<(u64, u32)>; Kind::ALL.len()];

/// One thread's windows in their order, without a gap.
#[derive(Clone, Debug)]
pub(crate) struct Seconds {
    /// In each of them the phases that something was recorded of.
    windows: Vec<Vec<(u16, Window)>>,
    /// Nanoseconds of one window.
    length: u64,
    /// When the current one ends, on the run's clock; never, before the run has begun.
    ends: u64,
}

impl Default for Seconds {
    fn default() -> Self {
        Self { windows: Vec::new(), length: SECOND, ends: u64::MAX }
    }
}

impl Seconds {
    /// The measured window begins at `from`.
    pub(crate) fn begin(&mut self, from: u64) {
        self.ends = from.saturating_add(self.length);
    }

    /// When [`Seconds::cut`] has something to do.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        self.ends
    }

    /// Ends every window that is over at `now`.
    pub(crate) fn cut(&mut self, recorder: &mut Recorder, now: u64) {
        while now >= self.ends {
            self.windows.push(recorder.cut());
            if self.windows.len() == MOST {
                self.halve();
            }
            self.ends = self.ends.saturating_add(self.length);
        }
    }

    /// The run is over: what is left is the last window.
    pub(crate) fn end(&mut self, recorder: &mut Recorder) {
        self.windows.push(recorder.cut());
    }

    /// Two windows become one.
    fn halve(&mut self) {
        self.length *= 2;
        let mut pairs = std::mem::take(&mut self.windows).into_iter();
        while let Some(mut first) = pairs.next() {
            if let Some(second) = pairs.next() {
                // The same phase twice: whoever adds them up adds both.
                first.extend(second);
            }
            self.windows.push(first);
        }
    }
}

/// All threads' windows.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Timeline {
    /// What came in each window, in their order.
    pub windows: Vec<Latencies>,
    /// Seconds of one window.
    pub window_s: u64,
    /// The same windows for each phase, by when its messages were due; none if there is but one.
    pub phases: Vec<Vec<Latencies>>,
}

impl Timeline {
    /// For a run of so many phases.
    pub(crate) fn of(phases: usize) -> Self {
        let phases = if phases > 1 { vec![Vec::new(); phases] } else { Vec::new() };
        Self { phases, ..Self::default() }
    }

    /// All that was due in one phase of several, whenever the answer came.
    pub(crate) fn of_phase(&self, phase: usize) -> Latencies {
        let mut sum = Latencies::default();
        self.phases.get(phase).into_iter().flatten().for_each(|window| sum.merge(window));
        sum
    }

    /// Adds one thread's windows.
    pub(crate) fn add(&mut self, mut seconds: Seconds) {
        while self.window_s > 0 && seconds.length / SECOND < self.window_s {
            seconds.halve();
        }
        self.widen(seconds.length / SECOND, seconds.windows.len());
        for (at, window) in seconds.windows.iter().enumerate() {
            for (phase, part) in window {
                self.windows[at].add_window(part);
                if let Some(windows) = self.phases.get_mut(usize::from(*phase)) {
                    windows[at].add_window(part);
                }
            }
        }
    }

    /// Adds another run's windows, each to the one as long after the beginning.
    pub fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        while other.window_s > 0 && other.window_s < self.window_s {
            other.halve();
        }
        self.widen(other.window_s, other.windows.len());
        for (sum, window) in self.windows.iter_mut().zip(&other.windows) {
            sum.merge(window);
        }
        for (mine, theirs) in self.phases.iter_mut().zip(&other.phases) {
            mine.iter_mut().zip(theirs).for_each(|(sum, window)| sum.merge(window));
        }
    }

    /// Makes each window at least `seconds` long, and as many of them as `most` if there are fewer.
    fn widen(&mut self, seconds: u64, most: usize) {
        while self.window_s > 0 && self.window_s < seconds {
            self.halve();
        }
        self.window_s = self.window_s.max(seconds);
        let most = most.max(self.windows.len());
        for windows in self.phases.iter_mut().chain([&mut self.windows]) {
            windows.resize_with(most, Latencies::default);
        }
    }

    /// How much the last three whole windows of `measured` differ; `None` with fewer of them, or if
    /// one of them has no sample of that kind.
    pub fn steadiness(&self, kind: Kind, measured: Duration) -> Option<Steadiness> {
        let whole = measured.as_secs().checked_div(self.window_s)? as usize;
        let last = self.windows.get(whole.checked_sub(STEADY)?..whole)?;
        let spread = |quantile: f64| {
            let values = last.iter().map(|window| Some(window.get(kind)?.quantile(quantile)));
            let values: Option<Vec<u64>> = values.collect();
            let values = values?;
            let (low, high) = (*values.iter().min()?, *values.iter().max()?);
            Some(high as f64 / low.max(1) as f64 - 1.0)
        };
        Some(Steadiness { p50_spread: spread(0.5)?, p99_spread: spread(0.99)? })
    }

    fn halve(&mut self) {
        self.window_s *= 2;
        for windows in self.phases.iter_mut().chain([&mut self.windows]) {
            let pairs = windows.chunks(2).map(|pair| {
                let mut sum = pair[0].clone();
                pair[1..].iter().for_each(|other| sum.merge(other));
                sum
            });
            *windows = pairs.collect();
        }
    }
}

/// How much percentiles differ from window to window: greatest over least, less 1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Steadiness {
    /// Of the medians.
    pub p50_spread: f64,
    /// Of the 99th percentiles.
    pub p99_spread: f64,
}

impl Steadiness {
    /// Whether both stay within a tenth.
    pub fn holds(self) -> bool {
        self.p50_spread <= STEADY_SPREAD && self.p99_spread <= STEADY_SPREAD
    }
}

impl Recorder {
    /// Takes what was recorded of the kinds that belong to the measured window, and begins anew.
    fn cut(&mut self) -> Vec<(u16, Window)> {
        let (mut cut, latest) = (Vec::new(), self.phases.len().saturating_sub(1));
        for (phase, kinds) in self.phases.iter_mut().enumerate() {
            let windowed = Kind::ALL.into_iter().filter(|kind| kind.windowed());
            let mut window = Window::default();
            for kind in windowed.clone() {
                window[kind as usize] = kinds[kind as usize].take();
            }
            if window.iter().any(|seen| !seen.is_empty()) {
                cut.push((phase as u16, window));
            } else if phase < latest {
                // The phase is over: its buckets need not be looked through each second.
                windowed.for_each(|kind| kinds[kind as usize] = Counts::default());
            }
        }
        cut
    }
}

impl Counts {
    /// Every time that was seen, with its count; nothing is forgotten but the counts.
    fn take(&mut self) -> Vec<(u64, u32)> {
        let seen = self.seen().collect();
        self.forget();
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Latency, Phase};

    fn count(timeline: &Timeline, at: usize) -> u64 {
        timeline.windows[at].get(Kind::Response).map_or(0, Latency::count)
    }

    /// A thread that records so many in each second.
    fn thread(counts: &[u64]) -> Seconds {
        let (mut seconds, mut recorder) = (Seconds::default(), Recorder::new());
        assert_eq!(seconds.next(), u64::MAX);
        seconds.begin(5);
        for (at, count) in counts.iter().enumerate() {
            (0..*count).for_each(|_| recorder.record(Kind::Response, Phase::FIRST, 1_000));
            recorder.record(Kind::Close, Phase::FIRST, 1_000);
            seconds.cut(&mut recorder, 5 + (at as u64 + 1) * SECOND);
        }
        recorder.record(Kind::Response, Phase::FIRST, 2_000);
        seconds.end(&mut recorder);
        assert_eq!(recorder.count(Kind::Response), 0);
        assert_eq!(recorder.count(Kind::Close), counts.len() as u64, "no window has closes");
        seconds
    }

    #[test]
    fn threads_are_added_second_by_second() {
        let mut timeline = Timeline::default();
        timeline.add(thread(&[1, 2, 3]));
        timeline.add(thread(&[10, 20]));
        let counts: Vec<u64> = (0..4).map(|at| count(&timeline, at)).collect();
        assert_eq!((counts, timeline.window_s), (vec![11, 22, 4, 1], 1));
    }

    #[test]
    fn a_thread_that_slept_has_empty_seconds() {
        let (mut seconds, mut recorder) = (Seconds::default(), Recorder::new());
        seconds.begin(0);
        recorder.record(Kind::Response, Phase::FIRST, 1);
        seconds.cut(&mut recorder, 3 * SECOND + 1);
        let mut timeline = Timeline::default();
        timeline.add(seconds);
        assert_eq!((0..3).map(|at| count(&timeline, at)).collect::<Vec<_>>(), [1, 0, 0]);
    }

    #[test]
    fn a_steady_end_is_told_from_a_wavering_one() {
        let steadiness = |times: &[u64], measured: u64| {
            let windows = times.iter().map(|us| {
                let mut window = Latencies::default();
                (0..100).for_each(|_| window.record(Kind::Response, us * 1000));
                window
            });
            let timeline = Timeline { windows: windows.collect(), window_s: 1, phases: Vec::new() };
            timeline.steadiness(Kind::Response, Duration::from_secs(measured))
        };
        // The start may waver, and so may the drain.
        assert!(steadiness(&[900, 100, 105, 100, 5000], 4).is_some_and(Steadiness::holds));
        let wavering = steadiness(&[100, 100, 100, 120], 4).unwrap();
        assert!(!wavering.holds() && (wavering.p50_spread - 0.2).abs() < 0.01, "{wavering:?}");
        assert_eq!(steadiness(&[100, 100], 2), None);
        assert_eq!(Timeline::default().steadiness(Kind::Response, Duration::from_secs(9)), None);
    }

    #[test]
    fn a_long_run_has_longer_windows_and_loses_nothing() {
        let mut timeline = Timeline::default();
        timeline.add(thread(&[1; 1000]));
        timeline.add(thread(&[1; 10]));
        assert_eq!(timeline.window_s, 4);
        assert!(timeline.windows.len() <= MOST);
        let all: u64 = (0..timeline.windows.len()).map(|at| count(&timeline, at)).sum();
        assert_eq!(all, 1000 + 10 + 2);
        let mut other = Timeline::default();
        other.add(thread(&[1; 10]));
        other.add(thread(&[1; 1000]));
        assert_eq!((other.window_s, other.windows.len()), (4, timeline.windows.len()));
    }
}
