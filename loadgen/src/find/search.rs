//! The search for the highest load that passes: exponential growth, then bisection, then both ends
//! of the interval once more, and on from an end that no longer holds. It knows nothing of servers:
//! a probe says whether a load passes.

/// Where the search begins, how far it goes, how close it gets.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Span {
    /// First load that is tried; above 0.
    pub start: f64,
    /// Least load of any meaning: below it nothing passes.
    pub least: f64,
    /// Greatest load that is tried.
    pub most: f64,
    /// Lowest failing over highest passing, less 1, at which the search is over; above 0.
    pub tolerance: f64,
    /// Loads are whole numbers.
    pub whole: bool,
}

/// The answer's interval.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Interval {
    /// Highest load that passed, also the second time; `None` if none did.
    pub passing: Option<f64>,
    /// Lowest load above it that failed, and failed again; `None` if none did.
    pub failing: Option<f64>,
}

/// What the probe thinks of a load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Probe {
    /// It passes.
    Passed,
    /// It does not.
    Failed,
    /// Nobody can say: the run measured something else.
    Disturbed,
    /// It does not, and to ask again would say the same.
    Impossible,
    /// There is no time left: the search ends with what it knows.
    Stopped,
}

/// How often the search begins again from an end that its confirmation has contradicted: a machine
/// whose speed wanders gives no fixed answer, only an interval that is no longer wrong.
const MOVES: usize = 6;

/// How often a load is tried that fails or is disturbed before it counts as failing.
const TRIES_FAILED: usize = 2;
const TRIES: usize = 4;

/// How fast loads grow as long as nothing is known.
const DOUBLE: f64 = 2.0;

/// A load that does not pass is tried again before it counts as failing: one disturbance must not
/// decide. One that passes is believed until the end, when it has to pass again.
pub(super) fn search(span: Span, mut probe: impl FnMut(f64) -> Probe) -> Interval {
    let mut search = Search { span, ends: Interval::default(), probe: &mut probe, stopped: false };
    search.grow(span.start, DOUBLE);
    search.bisect();
    for _ in 0..MOVES {
        let Some((load, factor)) = search.contradicted() else { break };
        search.grow(load, factor);
        search.bisect();
    }
    search.ends
}

struct Search<'a> {
    span: Span,
    ends: Interval,
    probe: &'a mut dyn FnMut(f64) -> Probe,
    stopped: bool,
}

impl Search<'_> {
    fn passes(&mut self, load: f64) -> bool {
        let mut failed = 0;
        for _ in 0..TRIES {
            match (self.probe)(load) {
                Probe::Passed => return true,
                Probe::Failed => failed += 1,
                Probe::Disturbed => {}
                Probe::Impossible => return false,
                Probe::Stopped => {
                    self.stopped = true;
                    return false;
                }
            }
            if failed == TRIES_FAILED {
                break;
            }
        }
        false
    }

    /// Tries a load and moves an end of the interval to it.
    fn step(&mut self, load: f64) {
        let passed = self.passes(load);
        if self.stopped {
            return;
        }
        if passed {
            self.ends.passing = Some(load);
        } else {
            self.ends.failing = Some(load);
        }
    }

    /// Raises the load until it fails, or lowers it until it passes: by this factor, then by its
    /// square and so on, up to doubling.
    fn grow(&mut self, from: f64, mut factor: f64) {
        let Span { least, most, .. } = self.span;
        let mut load = self.round(from.clamp(least, most));
        self.step(load);
        while !self.stopped {
            load = match self.ends {
                Interval { passing: Some(passing), failing: None } if passing < most => {
                    self.above(passing, factor).min(most)
                }
                Interval { passing: None, failing: Some(failing) } if failing > least => {
                    self.below(failing, factor).max(least)
                }
                _ => return,
            };
            factor = (factor * factor).min(DOUBLE);
            self.step(load);
        }
    }

    /// Halves the interval, as loads relate, until it is as narrow as asked for.
    fn bisect(&mut self) {
        while !self.stopped
            && let Interval { passing: Some(low), failing: Some(high) } = self.ends
        {
            let middle = self.round((low * high).sqrt());
            if high / low <= 1.0 + self.span.tolerance || middle <= low || middle >= high {
                return;
            }
            self.step(middle);
        }
    }

    /// The found load must pass again, and the one above it fail again. If one does not, nothing is
    /// known on its side any more: gives the load to go on with and the factor to grow by.
    fn contradicted(&mut self) -> Option<(f64, f64)> {
        let low = self.ends.passing.filter(|_| !self.stopped)?;
        let factor = 1.0 + self.span.tolerance;
        let holds = self.passes(low);
        if self.stopped {
            return None;
        }
        if !holds {
            self.ends = Interval { passing: None, failing: Some(low) };
            return (low > self.span.least).then(|| (self.below(low, factor), factor));
        }
        let high = self.ends.failing?;
        if !self.passes(high) {
            return None;
        }
        self.ends = Interval { passing: Some(high), failing: None };
        (high < self.span.most).then(|| (self.above(high, factor), factor))
    }

    fn below(&self, load: f64, factor: f64) -> f64 {
        let lower = self.round(load / factor);
        if self.span.whole { lower.min(load - 1.0) } else { lower }
    }

    fn above(&self, load: f64, factor: f64) -> f64 {
        let higher = self.round(load * factor);
        if self.span.whole { higher.max(load + 1.0) } else { higher }
    }

    fn round(&self, load: f64) -> f64 {
        if self.span.whole { load.round().max(1.0) } else { load }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPAN: Span = Span { start: 1000.0, least: 1.0, most: 1e9, tolerance: 0.05, whole: false };

    fn against(limit: f64) -> impl FnMut(f64) -> Probe {
        move |load| if load <= limit { Probe::Passed } else { Probe::Failed }
    }

    #[test]
    fn nothing_passes_or_all_does() {
        assert_eq!(search(SPAN, |_| Probe::Failed), Interval { passing: None, failing: Some(1.0) });
        let all = search(Span { most: 3e5, ..SPAN }, |_| Probe::Passed);
        assert_eq!(all, Interval { passing: Some(3e5), failing: None });
    }

    #[test]
    fn one_disturbance_does_not_decide() {
        let mut calls = 0;
        let found = search(SPAN, |load| {
            calls += 1;
            // Each third probe is disturbed.
            if calls % 3 == 0 { Probe::Failed } else { against(40_000.0)(load) }
        });
        let (low, high) = (found.passing.unwrap(), found.failing.unwrap());
        assert!(low <= 40_000.0 && 40_000.0 / low < 1.11, "{found:?} after {calls}");
        assert!(high > low);
    }

    /// What passed by luck alone does not pass again.
    #[test]
    fn luck_is_taken_back() {
        let mut lucky = true;
        let found = search(SPAN, |load| {
            if load > 40_000.0 && load < 60_000.0 && std::mem::take(&mut lucky) {
                return Probe::Passed;
            }
            against(40_000.0)(load)
        });
        let (low, high) = (found.passing.unwrap(), found.failing.unwrap());
        assert!(low <= 40_000.0 * 1.05 && high <= 60_000.0 && low < high, "{found:?}");
    }

    /// Disturbed as long as the machine was busy: what seemed a limit then is left far behind, not
    /// in steps of a twentieth.
    #[test]
    fn a_limit_that_was_the_machines_is_left_behind() {
        let mut calls = 0;
        let found = search(SPAN, |load| {
            calls += 1;
            if calls <= 20 { Probe::Disturbed } else { against(40_000.0)(load) }
        });
        let (low, high) = (found.passing.unwrap(), found.failing.unwrap());
        assert!(low <= 40_000.0 && 40_000.0 < high && high / low < 1.051, "{found:?} in {calls}");
        assert!(calls < 60, "{calls}");
    }

    #[test]
    fn a_stop_ends_it_with_what_is_known() {
        let mut left = 5;
        let found = search(SPAN, |_| {
            left -= 1;
            if left == 0 { Probe::Stopped } else { Probe::Passed }
        });
        assert_eq!((found.passing, found.failing, left), (Some(8000.0), None, 0));
    }

    #[test]
    fn what_nobody_can_say_is_asked_again() {
        let mut asked = 0;
        let found = search(Span { most: 2000.0, ..SPAN }, |_| {
            asked += 1;
            if asked % 4 == 0 { Probe::Passed } else { Probe::Disturbed }
        });
        assert_eq!((found.passing, found.failing, asked), (Some(2000.0), None, 12));
        let never = search(Span { start: 1.0, ..SPAN }, |_| Probe::Disturbed);
        assert_eq!(never, Interval { passing: None, failing: Some(1.0) });
    }

    #[test]
    fn what_is_impossible_is_asked_once() {
        let mut asked = Vec::new();
        let found = search(Span { whole: true, ..SPAN }, |load| {
            asked.push(load as u64);
            if load > 4000.0 { Probe::Impossible } else { Probe::Passed }
        });
        assert_eq!(asked[..4], [1000, 2000, 4000, 8000]);
        assert_eq!(found.passing, Some(4000.0));
        assert_eq!(asked.iter().filter(|load| **load == 8000).count(), 1);
    }

    proptest! {
        /// Any limit is found to within the tolerance, in a number of probes that a person can wait
        /// for.
        #[test]
        fn the_limit_is_found(limit in 1.0f64..1e8, start in 1.0f64..1e6, whole: bool) {
            let mut calls = 0;
            let span = Span { start, whole, ..SPAN };
            let found = search(span, |load| { calls += 1; against(limit)(load) });
            let (low, high) = (found.passing.unwrap(), found.failing.unwrap());
            prop_assert!(low <= limit && limit < high, "{low} {limit} {high}");
            let close = high / low <= 1.05 + 1e-9 || (whole && high - low <= 1.0);
            prop_assert!(close, "{low} {limit} {high}");
            prop_assert!(calls < 80, "{calls}");
        }
    }
}
