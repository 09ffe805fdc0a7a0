//! Comparisons of small results.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::cli::Plan;
use crate::find::Run;
use crate::judge::Judgement;
use crate::measure::{Latencies, Phases, Timeline};
use crate::report::Style;

/// A run of 20 s with 100 replies a second, each some microseconds long.
fn run(name: &str, us: impl Fn(u64, u64) -> u64) -> Recorded {
    let second = |second: u64| {
        let mut window = Latencies::default();
        (0..100).for_each(|k| window.record(Kind::Response, us(second, k) * 1000));
        window
    };
    let windows: Vec<Latencies> = (0..20).map(second).collect();
    let mut outcome = Outcome {
        timeline: Timeline { windows, window_s: 1, ..Timeline::default() },
        phases: Phases { measure: Duration::from_secs(20), ..Phases::default() },
        ..Outcome::default()
    };
    for window in outcome.timeline.windows.clone() {
        outcome.latencies.merge(&window);
    }
    (outcome.tally.due, outcome.tally.sent, outcome.tally.received) = (2000, 2000, 2000);
    let judgement = Judgement { verdict: Verdict::Valid, reasons: Vec::new() };
    let run = Run { plan: Plan::default(), outcome, judgement, held: Vec::new() };
    Recorded { path: PathBuf::from(name), run, answer: None }
}

fn noisy(second: u64, k: u64) -> u64 {
    100 + (second * 7 + k * 13) % 20 + if k == 0 { 300 } else { 0 }
}

const TERMS: Terms = Terms { metrics: Vec::new(), confidence: 0.95, threshold: 0.05 };

fn row<'a>(comparison: &'a Comparison, metric: &str) -> &'a Row {
    comparison.rows.iter().find(|row| row.metric == metric).unwrap()
}

#[test]
fn slower_replies_are_worse_and_faster_ones_better() {
    let (a, b) = (run("a", noisy), run("b", |second, k| noisy(second, k) * 12 / 10));
    let worse = compare(std::slice::from_ref(&a), std::slice::from_ref(&b), &TERMS);
    assert_eq!(worse.finding, Finding::Worse);
    assert_eq!(row(&worse, "response.p50").finding, Finding::Worse);
    let p99 = row(&worse, "response.p99");
    assert!(p99.decides && p99.few && (p99.ratio.unwrap() - 1.2).abs() < 0.01, "{p99:?}");
    let text = report(&worse, Style::PLAIN);
    let last = "B is worse than A by response.p99, beyond noise and by more than 5 %\n";
    assert!(text.ends_with(last), "{text}");
    let better = compare(&[b], &[a], &TERMS);
    assert_eq!((better.finding, row(&better, "rate").finding), (Finding::Better, Finding::Same));
    assert_eq!(row(&better, "errors").finding, Finding::Same);
}

/// A difference that is sure, but too small to matter.
#[test]
fn the_threshold_lets_little_differences_pass() {
    let (a, b) = (run("a", |_, _| 1000), run("b", |_, _| 1040));
    let found = compare(std::slice::from_ref(&a), std::slice::from_ref(&b), &TERMS);
    let p99 = row(&found, "response.p99");
    assert!(p99.interval.unwrap()[0] > 1.03, "{p99:?}");
    assert_eq!(found.finding, Finding::Same);
    let strict = Terms { threshold: 0.02, ..TERMS };
    assert_eq!(compare(&[a], &[b], &strict).finding, Finding::Worse);
}

#[test]
fn errors_alone_can_be_worse() {
    let (a, mut b) = (run("a", noisy), run("b", noisy));
    b.run.outcome.tally.unanswered = 40;
    let found = compare(&[a], &[b], &TERMS);
    let errors = row(&found, "errors");
    assert_eq!((errors.finding, errors.ratio), (Finding::Worse, None));
    assert_eq!((found.finding, errors.b), (Finding::Worse, Some(0.02)));
    let [low, high] = errors.interval.unwrap();
    assert!(low > 0.01 && high < 0.03, "{low} {high}");
}

/// A connection that is lost takes what it had in flight along: that is no difference of servers.
#[test]
fn few_errors_decide_only_when_asked() {
    let (mut a, mut b) = (run("a", noisy), run("b", noisy));
    for run in [&mut a, &mut b] {
        run.run.outcome.tally.due = 1_000_000;
    }
    b.run.outcome.tally.unanswered = 8;
    let (a, b) = (std::slice::from_ref(&a), std::slice::from_ref(&b));
    assert_eq!(compare(a, b, &TERMS).finding, Finding::Same);
    let asked = Terms { metrics: vec![Metric::Errors], ..TERMS };
    assert_eq!(compare(a, b, &asked).finding, Finding::Worse);
}

/// Five blocks of each side can be shared out in 252 ways: none is as rare as 1 in 400.
#[test]
fn what_could_never_be_found_is_unknown() {
    let (mut a, mut b) = (run("a", noisy), run("b", |second, k| noisy(second, k) * 12 / 10));
    let sure = Terms { confidence: 0.999, ..TERMS };
    let found = compare(std::slice::from_ref(&a), std::slice::from_ref(&b), &sure);
    assert_eq!(
        (found.finding, row(&found, "response.p99").finding),
        (Finding::Unknown, Finding::Unknown)
    );
    let text = report(&found, Style::PLAIN);
    let needed = windows_needed((1.0 - found.confidence) / 2.0);
    assert!(needed > 20 && text.contains(&format!("at least {needed} each")), "{text}");
    for run in [&mut a, &mut b] {
        let timeline = &mut run.run.outcome.timeline;
        let more = timeline.windows.iter().cycle().take(needed).cloned().collect();
        timeline.windows = more;
        run.run.outcome.phases.measure = Duration::from_secs(needed as u64);
    }
    assert_eq!(compare(&[a], &[b], &sure).finding, Finding::Worse);
}

#[test]
fn what_speaks_against_it_is_said() {
    let (a, mut b) = (run("a", noisy), run("b", noisy));
    b.run.judgement.verdict = Verdict::Inconclusive;
    b.run.judgement.reasons.push("the machine was full".to_owned());
    b.run.plan.size.max = 4096;
    b.run.plan.seed = 5;
    let found = compare(&[a], &[b], &TERMS);
    assert!(found.invalid);
    assert_eq!(
        found.doubts,
        [
            "b is inconclusive: the machine was full",
            "b was not asked for the same as a: plan.size.max is 4096, not 125"
        ]
    );
}

#[test]
fn a_mix_of_phases_is_said() {
    let (a, mut b) = (run("a", noisy), run("b", noisy));
    b.run.outcome.phase_results = vec![crate::measure::PhaseResult::default(); 2];
    let found = compare(&[a], &[b], &TERMS);
    assert!(found.doubts[0].starts_with("b has 2 phases: the figures here mix"), "{found:?}");
}

#[test]
fn a_short_run_says_nothing() {
    let (a, mut b) = (run("a", noisy), run("b", noisy));
    b.run.outcome.phases.measure = Duration::from_secs(3);
    let found = compare(&[a], &[b], &TERMS);
    assert_eq!(found.finding, Finding::Unknown);
    assert!(found.doubts[0].starts_with("b has 3 windows"), "{:?}", found.doubts);
    assert!(report(&found, Style::PLAIN).contains("measure for longer"));
}

#[test]
fn figures_by_name() {
    for name in ["rate", "errors", "response.p50", "ping.p99.9", "delivery.p99.99"] {
        assert_eq!(Metric::parse(name).unwrap().name(), name);
    }
    assert_eq!(Metric::parse("response.p999").unwrap().name(), "response.p99.9");
    for name in ["response.max", "p99", "established", "response", "", "response.p100"] {
        assert!(Metric::parse(name).unwrap_err().contains("KIND.pNN"), "{name}");
    }
}

/// Windows hold every reply once, those of the drain in the last one.
#[test]
fn windows_of_the_measured_time() {
    let mut one = run("a", noisy);
    one.run.outcome.phases.measure = Duration::from_millis(18_600);
    let found = windows(&one.run.outcome, Kind::Response);
    assert_eq!(found.len(), 19);
    let count = |window: &Window| window.values.iter().map(|(_, count)| count).sum::<u64>();
    assert_eq!((count(&found[0]), count(&found[18])), (100, 200));
    assert!((found[18].seconds - 0.6).abs() < 1e-9);
    one.run.outcome.phases.measure = Duration::from_millis(18_400);
    assert_eq!(windows(&one.run.outcome, Kind::Response).len(), 18);
}
