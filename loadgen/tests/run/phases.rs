//! Phases over real sockets: scenario files and the fragment matrix.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use loadgen::cli::Cli;
use loadgen::cli::plan::Plan;
use loadgen::judge::judge;
use loadgen::measure::{Kind, Latencies, Latency, Outcome, PhaseResult};
use loadgen::report::{Finished, Style, to_json};
use loadgen::run::run;
use simd_json::prelude::*;

use crate::server::{Manner, Server};

/// A file that is gone when the test is.
struct Scenario(PathBuf);

impl Scenario {
    fn new(name: &str, text: &str) -> Self {
        let file = format!("loadgen-run-{}-{name}.toml", std::process::id());
        let path = std::env::temp_dir().join(file);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for Scenario {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn plan(line: &str) -> Plan {
    let words = format!("loadgen --quiet --no-pin {line}");
    let words: Vec<OsString> = words.split_ascii_whitespace().map(OsString::from).collect();
    Cli::read(words).unwrap().args.plan().unwrap()
}

fn count(latencies: &Latencies, kind: Kind) -> u64 {
    latencies.get(kind).map_or(0, Latency::count)
}

fn least(phase: &PhaseResult, kind: Kind) -> Duration {
    Duration::from_nanos(phase.latencies.get(kind).unwrap().quantile(0.0))
}

/// Every phase's parts add up to the whole.
fn check_sums(outcome: &Outcome) {
    let tally = &outcome.tally;
    let sum = |of: fn(&PhaseResult) -> u64| outcome.phase_results.iter().map(of).sum::<u64>();
    assert_eq!(sum(|phase| phase.counts.due), tally.due);
    assert_eq!(sum(|phase| phase.counts.sent), tally.sent);
    assert_eq!(sum(|phase| phase.counts.received), tally.received);
    assert_eq!(sum(|phase| phase.counts.unanswered), tally.unanswered);
    for kind in Kind::ALL.into_iter().filter(|kind| kind.windowed()) {
        let parts = outcome.phase_results.iter().map(|phase| count(&phase.latencies, kind));
        assert_eq!(parts.sum::<u64>(), count(&outcome.latencies, kind), "{kind:?}");
    }
}

/// Each phase has its own rate, size, frames and heartbeats, and nobody reconnects between them.
#[test]
fn phases_follow_each_other_over_the_same_connections() {
    let server = Server::start(Manner::Echo);
    let scenario = Scenario::new(
        "follow",
        "connections = 20\nwarmup = '200ms'\nverify = true\nheartbeat = 'off'\nthreads = 2
         [[phase]]\nname = 'first'\nduration = '1s'\nrate = 200\nsize = 16
         [[phase]]\nname = 'parts'\nduration = '800ms'\nrate = 50\nfragments = 4
         fragment-gap = '5ms'\ninterleave-ping = true
         [[phase]]\nname = 'beats'\nduration = '1s'\nrate = 100\nsize = '5000:1,20:1'
         heartbeat = '200ms'",
    );
    let line = format!("--scenario {} ws://{}/", scenario.0.display(), server.address);
    let outcome = run(&plan(&line)).unwrap();
    check_sums(&outcome);
    let [first, parts, beats] = &outcome.phase_results[..] else { panic!("three phases") };
    for (phase, name, messages) in
        [(first, "first", 200), (parts, "parts", 40), (beats, "beats", 100)]
    {
        let counts = phase.counts;
        assert_eq!((phase.name.as_str(), counts.due, counts.sent), (name, messages, messages));
        assert_eq!((counts.received, counts.unanswered), (messages, 0), "{name}");
        assert_eq!(count(&phase.latencies, Kind::Response), messages, "{name}");
        let split = [Kind::Fragmented, Kind::Ping].map(|kind| count(&phase.latencies, kind));
        match name {
            "first" => assert_eq!(split, [0, 0]),
            "parts" => assert_eq!(split, [40, 120]),
            _ => assert!(split[0] == 0 && (80..=100).contains(&split[1]), "{split:?}"),
        }
    }
    assert_eq!(count(&parts.latencies, Kind::InterleavedPing), 120);
    assert_eq!(count(&beats.latencies, Kind::InterleavedPing), 0);
    assert!(least(parts, Kind::Response) >= Duration::from_millis(15));
    assert_eq!((outcome.tally.verified, outcome.tally.corrupt), (340, 0));
    assert_eq!((outcome.tally.established, count(&outcome.latencies, Kind::Handshake)), (20, 20));
    let accepted: u64 = server.counters().iter().map(|shard| shard.accepted.get()).sum();
    assert_eq!(accepted, 20);
}

/// From 100 a second to 300: the second half has the larger part, as the line says.
#[test]
fn a_rate_that_grows() {
    let line = "-c 10 -R 100 --ramp-to 300 -d 2s --warmup 100ms --heartbeat off";
    for arrival in ["uniform", "poisson"] {
        let server = Server::start(Manner::Echo);
        let line = format!("ws://{}/ {line} --arrival {arrival}", server.address);
        let outcome = run(&plan(&line)).unwrap();
        let due = outcome.tally.due;
        // Exactly 400 of an even line; within five deviations of a random one.
        let slack = if arrival == "uniform" { 1 } else { 100 };
        assert!(due.abs_diff(400) <= slack && outcome.tally.received == due, "{arrival}: {due}");
        let halves = [0, 1].map(|at| count(&outcome.timeline.windows[at], Kind::Response));
        assert!(halves[1] > halves[0] + 30, "{arrival}: {halves:?}");
    }
}

/// Every answer takes 50 ms: the more are in flight, the more come. A message of one phase that is
/// answered in the next counts in its own.
#[test]
fn closed_loops_begin_anew_in_each_phase() {
    let server = Server::start(Manner::Cap(100_000, Duration::from_millis(50)));
    let scenario = Scenario::new(
        "closed",
        "connections = 4\nwarmup = '100ms'\nheartbeat = 'off'\nduration = '600ms'
         [[phase]]\nname = 'one'\n[[phase]]\nname = 'eight'\npipeline = 8
         [[phase]]\nname = 'open'\nrate = 50\n[[phase]]\nname = 'again'",
    );
    let line = format!("--scenario {} ws://{}/", scenario.0.display(), server.address);
    let outcome = run(&plan(&line)).unwrap();
    check_sums(&outcome);
    let [one, eight, open, again] = &outcome.phase_results[..] else { panic!("four phases") };
    let received = |phase: &PhaseResult| phase.counts.received;
    // 4 x 12 of one in flight at best, and eight times as many.
    assert!((4..=56).contains(&received(one)), "{:?}", one.counts);
    assert!(received(eight) > 3 * received(one), "{:?} {:?}", one.counts, eight.counts);
    assert_eq!((open.counts.due, open.counts.received), (30, 30));
    assert!((4..=56).contains(&received(again)), "{:?}", again.counts);
    assert_eq!((outcome.tally.unanswered, outcome.tally.frozen), (0, 0));
}

/// The worked example of the documentation, each phase cut short, and all that is told of it.
#[test]
fn the_example_runs_and_is_reported() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scenario.toml");
    let whole = plan(&format!("--scenario {example}"));
    assert_eq!((whole.phases.len(), whole.duration), (5, Duration::from_secs(20)));
    let plan = plan(&format!("--scenario {example} -d 500ms -c 40 --warmup 100ms --hlog -"));
    let outcome = run(&plan).unwrap();
    check_sums(&outcome);
    assert_eq!(outcome.tally.corrupt + outcome.tally.unanswered, 0);
    let judgement = judge(&plan, &outcome);
    let finished = Finished { plan: &plan, outcome: &outcome, judgement: &judgement, held: &[] };
    let text = finished.to_text(Style::PLAIN);
    let mut document = to_json(finished, None).unwrap().into_bytes();
    let document = simd_json::to_owned_value(&mut document).unwrap();
    let log = loadgen::report::document(loadgen::cli::plan::Format::Hlog, finished, None);
    let log = String::from_utf8(log.unwrap()).unwrap();
    let phases = document["phase_results"].as_array().unwrap();
    assert_eq!(phases.len(), 5);
    for (at, phase) in outcome.phase_results.iter().enumerate() {
        let name = &phase.name;
        assert!(text.contains(&format!("phase {name} at {:.1} s", at as f64 * 0.5)), "{text}");
        assert!(log.contains(&format!("Tag=response-{name},")), "{name}: {log}");
        let told = &phases[at];
        assert_eq!(told["name"].as_str(), Some(name.as_str()));
        assert_eq!(told["messages"]["due"].as_u64(), Some(phase.counts.due));
        let response = told["latency"]["response"]["count"].as_u64();
        assert_eq!(response, Some(phase.counts.received));
    }
    assert_eq!(document["fragment_matrix"].as_array().map(Vec::len), Some(0));
}

/// Every combination has its own figures: the gaps are in the response, and a pong's delay amid a
/// message is told beside that of one behind a message in one frame.
#[test]
fn the_fragment_matrix() {
    let server = Server::start(Manner::Echo);
    // Not by words: the lists are one.
    let line = format!(
        "loadgen --quiet --no-pin ws://{}/ -c 10 -R 100 -d 300ms --warmup 100ms --verify \
         --heartbeat off --fragment-matrix",
        server.address
    );
    let words = line.split_ascii_whitespace().map(OsString::from);
    let words = words.chain(["fragments=1,4 gap=0,10ms ping=off,on".into()]);
    let plan = Cli::read(words).unwrap().args.plan().unwrap();
    let outcome = run(&plan).unwrap();
    check_sums(&outcome);
    let judgement = judge(&plan, &outcome);
    let finished = Finished { plan: &plan, outcome: &outcome, judgement: &judgement, held: &[] };
    let mut document = to_json(finished, None).unwrap().into_bytes();
    let document = simd_json::to_owned_value(&mut document).unwrap();
    let rows = document["fragment_matrix"].as_array().unwrap();
    assert_eq!(rows.len(), 6);
    for row in rows {
        let number = |path: &[&str]| {
            let value = path.iter().try_fold(row, |value, key| value.get(*key));
            value.and_then(ValueAsScalar::as_u64)
        };
        let (fragments, gap) = (number(&["fragments"]).unwrap(), number(&["gap"]).unwrap());
        let ping = row["ping"].as_bool().unwrap();
        assert_eq!(number(&["messages", "received"]), Some(30), "{row}");
        assert_eq!(number(&["fragmented", "count"]), (fragments > 1).then_some(30), "{row}");
        let pongs = if fragments > 1 { 90 } else { 30 };
        // Those of a message that outlasts its phase are due in the next one, or never.
        let found = number(&["pong", "count"]);
        assert_eq!(found.is_some(), ping, "{row}");
        assert!(found.is_none_or(|found| (pongs - 9..=pongs).contains(&found)), "{row}");
        let response = number(&["response", "min"]).unwrap();
        assert!(response >= (fragments - 1) * gap, "{row}");
    }
    let text = finished.to_text(Style::PLAIN);
    for words in ["fragments", "response p50", "pong p50", "10ms"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

/// What cannot be is refused before anything is opened.
#[test]
fn no_matrix_of_what_has_no_fragments() {
    for (line, said) in [
        ("--mode idle --fragment-matrix fragments=4", "--mode idle"),
        ("--fragments 2 --fragment-matrix fragments=4", "--fragments"),
        ("--size 16 --fragment-matrix fragments=4,17", "--fragments 17 with --size 16"),
    ] {
        let words = format!("loadgen {line}");
        let words = words.split_ascii_whitespace().map(OsString::from);
        let error = Cli::read(words).unwrap().args.plan().unwrap_err().to_string();
        assert!(error.contains(said), "{line}: {error}");
    }
}
