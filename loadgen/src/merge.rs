//! Results of several machines that drove one server together, as one result.
//!
//! Histograms and counts are added, second by second too, and percentiles are read from the sum:
//! none is averaged. What cannot be added (two costs of one server, runs of different hours) is
//! left out with a note or refused.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::cli::differences;
use crate::cli::plan::{Mode, Pace, Plan};
use crate::find::Run;
use crate::human::grouped;
use crate::judge::{Judgement, Verdict};
use crate::measure::Outcome;
use crate::report::Recorded;

/// Fields of the plan that each machine may have of its own. Loads are added.
const OWN: [&str; 11] = [
    "plan.connections",
    "plan.floor",
    "plan.life.churn",
    "plan.mode.broadcast.publishers",
    "plan.mode.broadcast.subscribers",
    "plan.pace.open.rate",
    "plan.pin",
    "plan.ramp_to",
    "plan.seed",
    "plan.sources",
    "plan.threads",
];

/// Beginnings of the measured windows this far apart are worth a note.
const TOGETHER: Duration = Duration::from_secs(1);

/// Least share of the longest measured window in which all loads were on the server at once.
const COMMON: f64 = 0.9;

/// Results that are not parts of one run.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} with {}: {problem}; {remedy}",
    .with.display(),
    .path.display()
)]
pub struct MergeError {
    /// The file that does not fit.
    pub path: PathBuf,
    /// The first file.
    pub with: PathBuf,
    /// The field that differs, as the result file names it, with both values; or that none does.
    pub problem: String,
    /// What to do.
    pub remedy: &'static str,
}

/// Adds up. `None` if there is nothing to add.
///
/// # Errors
/// The first file that differs from the first one in what must not differ, and in which field.
pub fn merge(runs: &[Recorded]) -> Result<Option<Run>, Box<MergeError>> {
    let Some((first, others)) = runs.split_first() else { return Ok(None) };
    for (at, other) in others.iter().enumerate() {
        fits(first, other)?;
        runs[..=at].iter().try_for_each(|earlier| is_another(earlier, other))?;
    }
    let mut plan = first.run.plan.clone();
    let mut outcome = first.run.outcome.clone();
    let servers = runs.iter().filter(|run| run.run.outcome.server.is_some()).count();
    for (machine, other) in others.iter().enumerate() {
        add_load(&mut plan, &other.run.plan);
        add(&mut outcome, &other.run.outcome, machine + 1);
    }
    outcome.notes = notes(runs, &outcome);
    if servers > 1 {
        outcome.server = None;
        outcome.notes.push(
            "the server's cost was measured by several of them: it is left out here".to_owned(),
        );
    }
    let held = plan.slo.as_ref().map(|slo| slo.hold(&outcome)).unwrap_or_default();
    let mut judgement = worst(runs);
    if let Some(reason) = apart(runs) {
        judgement.reasons.push(reason);
        if judgement.verdict == Verdict::Valid {
            judgement.verdict = Verdict::Inconclusive;
        }
    }
    Ok(Some(Run { plan, outcome, judgement, held }))
}

/// A run twice would be twice the load that there was.
fn is_another(first: &Recorded, other: &Recorded) -> Result<(), Box<MergeError>> {
    let (a, b) = (&first.run, &other.run);
    let same = a.outcome.began == b.outcome.began
        && a.plan.seed == b.plan.seed
        && a.outcome.tally == b.outcome.tally;
    if !same {
        return Ok(());
    }
    let began = calendar(&a.outcome);
    Err(Box::new(MergeError {
        path: other.path.clone(),
        with: first.path.clone(),
        problem: format!("began, seed and all counts are the same ({began}): the same run twice"),
        remedy: "name each machine's result once",
    }))
}

fn calendar(outcome: &Outcome) -> String {
    match outcome.began {
        None => "unknown".to_owned(),
        Some(at) => humantime::format_rfc3339_seconds(at).to_string(),
    }
}

/// Loads that were the sum for a part of the time only.
fn apart(runs: &[Recorded]) -> Option<String> {
    let window = |run: &Recorded| {
        let began = run.run.outcome.began?;
        Some((began, began + run.run.outcome.phases.measure))
    };
    let windows: Vec<_> = runs.iter().filter_map(window).collect();
    let begin = windows.iter().map(|window| window.0).max()?;
    let end = windows.iter().map(|window| window.1).min()?;
    let longest = runs.iter().map(|run| run.run.outcome.phases.measure).max()?.as_secs_f64();
    let common = end.duration_since(begin).unwrap_or_default().as_secs_f64();
    (common < longest * COMMON).then(|| {
        format!(
            "the measured windows have {common:.1} s of {longest:.1} s in common, under 90 %: the \
             sum of the loads was not there all the time; start the machines together, and set \
             their clocks"
        )
    })
}

/// Whether two results may be parts of one run.
fn fits(first: &Recorded, other: &Recorded) -> Result<(), Box<MergeError>> {
    let refused = |field: &str, values: [String; 2], remedy| {
        let [first_value, second] = values;
        let problem = format!("{field} differs ({first_value}, {second})");
        Err(Box::new(MergeError {
            path: other.path.clone(),
            with: first.path.clone(),
            problem,
            remedy,
        }))
    };
    let found = differences(&first.run.plan, &other.run.plan);
    if let Some(found) = found.into_iter().find(|found| !OWN.contains(&found.field.as_str())) {
        let remedy = "runs that are added must have asked for the same, compare takes others";
        return refused(&found.field, [found.first, found.second], remedy);
    }
    let (a, b) = (&first.run.outcome, &other.run.outcome);
    if a.embedded || b.embedded {
        let values = [a.target.clone(), b.target.clone()];
        return refused("target", values, "each run had a server of its own inside: compare them");
    }
    if first.answer.is_some() || other.answer.is_some() {
        let value = |run: &Recorded| run.answer.as_ref().map_or("null", |_| "a search").to_owned();
        return refused("find", [value(first), value(other)], "a search cannot be added");
    }
    if !overlap(a, b) {
        let remedy = "their measured windows did not overlap, so no load was their sum: start them \
                      together, and set the machines' clocks";
        return refused("record.began", [calendar(a), calendar(b)], remedy);
    }
    Ok(())
}

/// Whether both measured windows have an instant in common.
fn overlap(a: &Outcome, b: &Outcome) -> bool {
    let window =
        |outcome: &Outcome| outcome.began.map(|began| (began, began + outcome.phases.measure));
    match (window(a), window(b)) {
        (Some(a), Some(b)) => a.0 < b.1 && b.0 < a.1,
        _ => false,
    }
}

fn add_load(plan: &mut Plan, other: &Plan) {
    plan.connections = plan.connections.saturating_add(other.connections);
    if let (Pace::Open { rate, .. }, Pace::Open { rate: more, .. }) = (&mut plan.pace, other.pace) {
        *rate += more;
    }
    let sum = |mine: &mut Option<f64>, more: Option<f64>| {
        *mine = mine.map_or(more, |mine| Some(mine + more.unwrap_or_default()));
    };
    sum(&mut plan.life.churn, other.life.churn);
    sum(&mut plan.ramp_to, other.ramp_to);
    if let (Mode::Broadcast(rooms), Mode::Broadcast(more)) = (&mut plan.mode, other.mode) {
        rooms.publishers = rooms.publishers.saturating_add(more.publishers);
        rooms.subscribers = rooms.subscribers.saturating_add(more.subscribers);
    }
}

/// Every field by its name, so that none which comes later is forgotten here.
fn add(outcome: &mut Outcome, other: &Outcome, machine: usize) {
    let Outcome {
        target: _,
        servers,
        embedded: _,
        loopback,
        tally,
        latencies,
        timeline,
        phase_results,
        began,
        rate_requested,
        phases,
        generator,
        floor,
        server,
        notes: _,
    } = other;
    for (mine, theirs) in outcome.servers.iter_mut().zip(servers) {
        mine.merge(theirs);
    }
    outcome.loopback &= loopback;
    outcome.tally.merge(tally);
    outcome.latencies.merge(latencies);
    outcome.timeline.merge(timeline);
    for (mine, theirs) in outcome.phase_results.iter_mut().zip(phase_results) {
        mine.merge(theirs);
    }
    outcome.began = outcome.began.min(*began);
    outcome.rate_requested = match (outcome.rate_requested, rate_requested) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(*b),
    };
    let mine = &mut outcome.phases;
    mine.connect = mine.connect.max(phases.connect);
    mine.warmup = mine.warmup.max(phases.warmup);
    mine.measure = mine.measure.max(phases.measure);
    outcome.generator.merge(generator, machine);
    // The slowest generator's: what is over it is over all of them.
    let floors = [outcome.floor, *floor].into_iter().flatten();
    outcome.floor = floors.max_by_key(|floor| floor.p50);
    outcome.server = outcome.server.take().or_else(|| server.clone());
}

/// The worst of the verdicts, and every reason with its file.
fn worst(runs: &[Recorded]) -> Judgement {
    let rank = |verdict: Verdict| match verdict {
        Verdict::Valid => 0,
        Verdict::Inconclusive => 1,
        Verdict::GeneratorBound => 2,
    };
    let verdicts = runs.iter().map(|run| run.run.judgement.verdict);
    let verdict = verdicts.max_by_key(|verdict| rank(*verdict)).unwrap_or(Verdict::Valid);
    Judgement { verdict, reasons: named(runs, |run| &run.run.judgement.reasons) }
}

fn named(runs: &[Recorded], what: fn(&Recorded) -> &Vec<String>) -> Vec<String> {
    let lines = |run| what(run).iter().map(move |text| (run, text));
    let line = |(run, text): (&Recorded, &String)| format!("{}: {text}", run.path.display());
    runs.iter().flat_map(lines).map(line).collect()
}

fn notes(runs: &[Recorded], sum: &Outcome) -> Vec<String> {
    let mut notes = named(runs, |run| &run.run.outcome.notes);
    notes.push(format!("the sum of {} results", grouped(runs.len() as u64)));
    let begins = runs.iter().filter_map(|run| run.run.outcome.began);
    let last = begins.max().unwrap_or(SystemTime::UNIX_EPOCH);
    let apart = sum.began.and_then(|first| last.duration_since(first).ok()).unwrap_or_default();
    if apart > TOGETHER {
        notes.push(format!(
            "their measured windows began within {:.1} s of each other: the seconds are each run's \
             own",
            apart.as_secs_f64()
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Args;
    use crate::cost::{ServerCost, ThreadUse};
    use crate::measure::{Kind, Latencies, Latency, ServerTally, Timeline};
    use clap::Parser as _;

    /// A machine that sent 100 messages a second for 10 s, from `began` on.
    fn machine(name: &str, line: &str, began: u64, us: u64) -> Recorded {
        let line = format!("loadgen ws://192.0.2.1/ -R 100 --slo response.max<1ms {line}");
        let plan = Args::try_parse_from(line.split_ascii_whitespace()).unwrap().plan().unwrap();
        let mut outcome = Outcome {
            target: "ws://192.0.2.1/".to_owned(),
            rate_requested: Some(100.0),
            began: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000 + began)),
            ..Outcome::default()
        };
        outcome.phases.measure = Duration::from_secs(10);
        (outcome.tally.requested, outcome.tally.sent) = (1000, 1000);
        let mut second = Latencies::default();
        (0..100).for_each(|k| second.record(Kind::Response, us * 1000 + k));
        outcome.timeline =
            Timeline { windows: vec![second; 10], window_s: 1, ..Timeline::default() };
        for window in outcome.timeline.windows.clone() {
            outcome.latencies.merge(&window);
        }
        let cpu = Duration::from_secs(5);
        let thread = ThreadUse { cores: vec![0], cpu, ..ThreadUse::default() };
        outcome.generator.threads.push(thread);
        outcome.generator.wall = Duration::from_secs(10);
        outcome.notes.push("a note".to_owned());
        let judgement = Judgement { verdict: Verdict::Valid, reasons: Vec::new() };
        let run = Run { plan, outcome, judgement, held: Vec::new() };
        Recorded { path: PathBuf::from(name), run, answer: None }
    }

    #[test]
    fn all_is_added_and_nothing_averaged() {
        let (mut a, mut b) = (machine("a", "-c 10", 0, 100), machine("b", "-c 5 --seed 2", 3, 900));
        a.run.outcome.server = Some(ServerCost::default());
        b.run.judgement.verdict = Verdict::Inconclusive;
        b.run.judgement.reasons.push("the machine was full".to_owned());
        let sum = merge(&[a, b]).unwrap().unwrap();
        let (plan, outcome) = (&sum.plan, &sum.outcome);
        assert_eq!((plan.connections, outcome.rate_requested), (15, Some(200.0)));
        assert!(matches!(plan.pace, Pace::Open { rate, .. } if rate.to_bits() == 200f64.to_bits()));
        assert_eq!((outcome.tally.requested, outcome.tally.sent), (2000, 2000));
        let response = outcome.latencies.get(Kind::Response).unwrap();
        assert_eq!(response.count(), 2000);
        // Half of the replies took 100 us, the others 900: no percentile lies between.
        assert!(response.quantile(0.49) < 101_000 && response.quantile(0.51) > 899_000);
        let second = outcome.timeline.windows[9].get(Kind::Response);
        assert_eq!(second.map(Latency::count), Some(200));
        assert_eq!(sum.judgement.verdict, Verdict::Inconclusive);
        let [full, apart] = &sum.judgement.reasons[..] else { panic!("{:?}", sum.judgement) };
        assert_eq!(full, "b: the machine was full");
        assert!(apart.contains("7.0 s of 10.0 s in common"), "{apart}");
        assert!(sum.held[0].passed && outcome.server.is_some());
        // Each has a core 0 of its own.
        let cores = outcome.generator.core_percents();
        assert_eq!(cores.len(), 2);
        assert!(cores.iter().all(|(_, percent)| (percent - 50.0).abs() < 1e-9), "{cores:?}");
        assert_eq!(outcome.notes[..2], ["a: a note", "b: a note"]);
        let apart = outcome.notes.iter().any(|note| note.contains("began within 3.0 s"));
        assert!(apart, "{:?}", outcome.notes);
    }

    #[test]
    fn servers_are_added_one_by_one() {
        let shared = |name, began| {
            let mut one = machine(name, "", began, 1);
            let tally = |url: &str, established, failed| ServerTally {
                url: url.to_owned(),
                requested: established + failed,
                established,
                failed,
                closed_early: 1,
            };
            one.run.outcome.servers = vec![tally("ws://a/", 5, 0), tally("ws://b/", 3, 2)];
            one
        };
        let sum = merge(&[shared("a", 0), shared("b", 1)]).unwrap().unwrap();
        let counts = |server: &ServerTally| {
            (server.requested, server.established, server.failed, server.closed_early)
        };
        let counts: Vec<_> = sum.outcome.servers.iter().map(counts).collect();
        assert_eq!(counts, [(10, 10, 0, 2), (10, 6, 4, 2)]);
    }

    #[test]
    fn what_differs_is_named() {
        let refused =
            |other: Recorded| merge(&[machine("a", "", 0, 1), other]).err().unwrap().to_string();
        let said = refused(machine("b", "--size 64", 0, 1));
        assert!(said.starts_with("a with b: plan.size.max differs (125, 64); "), "{said}");
        let said = refused(machine("b", "--fragments 2", 0, 1));
        assert!(said.contains("plan.fragmentation.fragments differs (1, 2)"), "{said}");
        let said = refused(machine("b", "", 11, 1));
        let twice = refused(machine("b", "", 0, 1));
        assert!(twice.contains("the same run twice"), "{twice}");
        assert!(said.contains("record.began") && said.contains("did not overlap"), "{said}");
        let mut inside = machine("b", "", 0, 1);
        inside.run.outcome.embedded = true;
        assert!(refused(inside).contains("a server of its own"));
        assert!(merge(&[]).unwrap().is_none());
    }

    #[test]
    fn windows_that_hardly_meet_make_the_sum_inconclusive() {
        for (late, verdict) in [(1, Verdict::Valid), (2, Verdict::Inconclusive)] {
            let runs = [machine("a", "", 0, 1), machine("b", "--seed 2", late, 1)];
            let judgement = merge(&runs).unwrap().unwrap().judgement;
            assert_eq!(judgement.verdict, verdict, "{judgement:?}");
        }
    }

    #[test]
    fn churn_and_the_end_of_a_ramp_are_loads_too() {
        let runs = ["--churn 5 --ramp-to 300", "--churn 7 --ramp-to 400 --seed 2"]
            .map(|line| machine("a", line, 0, 1));
        let plan = merge(&runs).unwrap().unwrap().plan;
        assert_eq!((plan.life.churn, plan.ramp_to), (Some(12.0), Some(700.0)));
    }

    #[test]
    fn a_server_that_two_measured_is_left_out() {
        let measured = |name, seed| {
            let mut one = machine(name, seed, 0, 1);
            one.run.outcome.server = Some(ServerCost::default());
            one
        };
        let sum = merge(&[measured("a", ""), measured("b", "--seed 2")]).unwrap().unwrap();
        assert_eq!(sum.outcome.server, None);
        assert!(sum.outcome.notes.iter().any(|note| note.contains("left out")));
    }
}
