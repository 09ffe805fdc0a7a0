//! One fixed run, its report and its document.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use clap::Parser;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use simd_json::prelude::*;

use super::*;
use crate::cost::{GeneratorHealth, KernelGrowth, Sample, ServerCost, Setup, ThreadUse};
use crate::judge::judge;
use crate::measure::{
    BroadcastTally, Kind, Latencies, Phase, Phases, Recorder, SlowTally, StormTally, Timeline,
};

fn plan(args: &[&str]) -> Plan {
    let args = ["loadgen"].iter().chain(args);
    crate::cli::Args::try_parse_from(args).unwrap().plan().unwrap()
}

fn latencies(outcome: &mut Outcome, kind: Kind, count: u64, us: impl Fn(u64) -> u64) {
    let mut recorder = Recorder::new();
    (0..count).for_each(|k| recorder.record(kind, Phase::FIRST, us(k) * 1000));
    outcome.latencies.add(&recorder);
}

fn thread(core: usize, cpu_ms: u64) -> ThreadUse {
    ThreadUse {
        name: format!("loadgen-{core}"),
        machine: 0,
        cores: vec![core],
        cpu: Duration::from_millis(cpu_ms),
        waited: Duration::from_millis(10),
    }
}

/// 30 s of 2,000 messages a second in which most things went well.
fn echo() -> Outcome {
    let mut outcome = Outcome {
        target: "ws://127.0.0.1:9001/".to_owned(),
        embedded: true,
        loopback: true,
        rate_requested: Some(2000.0),
        phases: Phases {
            connect: Duration::from_millis(5_230),
            warmup: Duration::from_secs(2),
            measure: Duration::from_secs(30),
        },
        generator: GeneratorHealth {
            threads: vec![thread(0, 1_275), thread(1, 1_300)],
            wall: Duration::from_secs(30),
            setup: Setup::default(),
        },
        server: Some(ServerCost {
            pid: Some(4242),
            cpu: Duration::from_millis(1_950),
            setup: Setup {
                cpu: Duration::from_secs(3),
                rss_idle: 10 << 20,
                rss_connected: 60 << 20,
            },
            rss_after: 61 << 20,
            shared_process: true,
            kernel: KernelGrowth {
                sockets: 199_990,
                socket_bytes: 0,
                slab_bytes: 840 << 20,
                socket_slab_bytes: Some(800 << 20),
            },
            samples: [(-1.0, 0.0), (0.0, 3.0), (1.0, 3.05), (2.0, 3.15)]
                .map(|(t_s, cpu_seconds)| Sample { t_s, cpu_seconds, ..Sample::default() })
                .to_vec(),
            ..ServerCost::default()
        }),
        notes: vec!["open-file limit 20000: using 6 shards".to_owned()],
        ..Outcome::default()
    };
    let tally = &mut outcome.tally;
    (tally.requested, tally.established, tally.failed) = (100_000, 99_995, 5);
    tally.closed_early = 2;
    tally.errors.insert("connection refused: is the server listening?".to_owned(), 5);
    tally.errors.insert("closed by the server with 1001".to_owned(), 2);
    (tally.due, tally.sent) = (60_000, 60_000);
    (tally.received, tally.unanswered) = (59_998, 2);
    tally.unanswered_age.record(1_500_000_000);
    tally.unanswered_age.record(2_500_000_000);
    (tally.pings_sent, tally.verified) = (100_000, 59_998);
    latencies(&mut outcome, Kind::Connect, 99_995, |k| 50 + k % 400);
    latencies(&mut outcome, Kind::Response, 59_998, |k| 20 + k / 600);
    latencies(&mut outcome, Kind::Service, 59_998, |k| 20 + k / 700);
    latencies(&mut outcome, Kind::SendLag, 60_000, |k| 1 + k % 50);
    latencies(&mut outcome, Kind::Ping, 1_000, |k| 30 + k % 10);
    outcome
}

fn broadcast() -> Outcome {
    let mut outcome = echo();
    outcome.tally.errors.clear();
    (outcome.tally.unanswered, outcome.tally.unanswered_age) =
        (0, crate::measure::Latency::default());
    let mut tally = BroadcastTally { expected: 1_000_000, received: 999_999, ..Default::default() };
    (tally.duplicate, tally.reordered) = (3, 4);
    (0..600).for_each(|k| tally.spread.record(1_000_000 + k * 1000));
    outcome.tally.broadcast = Some(tally);
    latencies(&mut outcome, Kind::Delivery, 20_000, |k| 100 + k % 100);
    outcome
}

fn document(args: &[&str], outcome: &Outcome) -> simd_json::OwnedValue {
    let plan = plan(args);
    let judgement = judge(&plan, outcome);
    let text =
        to_json(Finished { plan: &plan, outcome, judgement: &judgement, held: &[] }, None).unwrap();
    assert!(text.ends_with("}\n"));
    simd_json::to_owned_value(&mut text.into_bytes()).unwrap()
}

/// All names in the document, as paths.
fn names(value: &simd_json::OwnedValue, path: &str, found: &mut BTreeSet<String>) {
    for (name, value) in value.as_object().into_iter().flat_map(|object| object.iter()) {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        names(value, &path, found);
        found.insert(path);
    }
}

/// The schema's names. A name may be added to it, never taken away.
const CONTRACT: &str = "schema verdict verdict_reasons
    connections.requested connections.established connections.failed connections.closed_early
    connections.errors
    messages.sent messages.received messages.unanswered messages.rate_requested
    messages.rate_achieved
    integrity.verified integrity.corrupt integrity.duplicate integrity.reordered
    latency.response.count latency.response.min latency.response.mean latency.response.stdev
    latency.response.p50 latency.response.p90 latency.response.p95 latency.response.p99
    latency.response.p999 latency.response.p9999 latency.response.max
    latency.connect latency.send_lag latency.ping latency.delivery
    generator.threads generator.cpu_seconds generator.cpu_us_per_message
    generator.busiest_thread_percent
    broadcast.reach broadcast.lost broadcast.spread
    server.pid server.cpu_seconds server.cpu_us_per_message server.rss_bytes_idle
    server.bytes_per_connection
    phases.connect_s phases.warmup_s phases.measure_s";

const ADDED: &str = "messages.due messages.unsent messages.carried messages.held_back
    connections.frozen connections.close_errors integrity.strays pings.overdue
    pings.unsent pings.coalesced generator.own_lag target embedded
    loopback mode loop_kind seed pings.sent pings.unanswered
    messages.unanswered_age latency_overflow notes generator.waited_seconds generator.cores
    broadcast.expected broadcast.received broadcast.duplicate broadcast.reordered
    broadcast.spread.p99 server.rss_bytes_connected server.rss_bytes_after server.shared_process
    server.connect_cpu_seconds generator.connect_cpu_seconds generator.rss_bytes_idle
    generator.rss_bytes_connected generator.bytes_per_connection
    connections.churned connections.churn_missed connections.reconnects
    connections.reconnect_errors connections.time_to_reconnect connections.still_away storms
    slow_consumers
    messages.skipped messages.abandoned
    server.kernel_growth.slab_bytes server.kernel_growth.socket_slab_bytes
    server.kernel_bytes_per_connection server.metrics server.samples confidence generator.floor
    machine.kernel machine.architecture machine.cores";

#[test]
fn every_name_of_the_schema_is_there() {
    let args = ["--mode", "broadcast", "--rate", "2000"];
    let mut found = BTreeSet::new();
    names(&document(&args, &broadcast()), "", &mut found);
    for name in CONTRACT.split_whitespace().chain(ADDED.split_whitespace()) {
        assert!(found.contains(name), "{name} is missing: {found:?}");
    }
}

/// Churn, reconnects and storms, in the document and in the report.
#[test]
fn who_left_and_came_back() {
    let args = ["--rate", "2000", "--churn", "5/s", "--reconnect", "fixed:4s", "-d", "30s"];
    let args = [&args[..], &["--storm", "50%@10s", "--storm", "10%@20s:fin"]].concat();
    let args = [&args[..], &["--slow-consumers", "1%:1kB/s"]].concat();
    let mut outcome = echo();
    let life = &mut outcome.tally.life;
    (life.churned, life.reconnected, life.skipped, life.abandoned) = (150, 2, 1_500, 7);
    life.away.record(4_001_000_000);
    life.error(None, "refused");
    life.storms.resize_with(2, StormTally::default);
    let storm = &mut life.storms[0];
    (storm.begun, storm.dropped, storm.returned) = (true, 200, 200);
    (1..=200).for_each(|k| storm.back.record(k * 10_000_000));
    storm.handshake.record(3_000_000);
    storm.before.record(1_000_000);
    storm.during.record(9_000_000);
    life.error(Some(0), "server answered 503");
    let errors = [("the server closed with code 1008".to_owned(), 2)].into();
    outcome.tally.slow =
        Some(SlowTally { connections: 9, closed_early: 2, errors, ..SlowTally::default() });
    let document = document(&args, &outcome);
    let connections = &document["connections"];
    assert_eq!((&connections["churned"], &connections["reconnects"]), (&150.into(), &2.into()));
    assert_eq!(connections["time_to_reconnect"]["count"], 1);
    assert_eq!(connections["reconnect_errors"]["refused"], 1);
    let [first, second] = &document["storms"].as_array().unwrap()[..] else { panic!() };
    let centis = |name: &str| (first[name].as_u64().unwrap() as f64 / 1e7).round() as u64;
    assert_eq!((centis("time_to_99"), centis("time_to_all")), (198, 200));
    assert_eq!((first["at_s"].as_f64(), second["farewell"].as_str()), (Some(10.0), Some("fin")));
    assert_eq!(first["errors"]["server answered 503"], 1);
    assert_eq!(first["survivors"]["during"]["count"], 1);
    assert!(second["time_to_99"].is_null() && second["begun"] == false);
    assert_eq!(document["slow_consumers"]["closed_early"], 2);
    let plan = plan(&args);
    let judgement = judge(&plan, &outcome);
    let finished = Finished { plan: &plan, outcome: &outcome, judgement: &judgement, held: &[] };
    let text = finished.to_text(Style::of(&std::fs::File::open("/dev/null").unwrap()));
    for part in [
        "150 closed and opened again at 5 a second in total",
        "2 back after an end that was not asked for by fixed:4s, away p50 4.00s, p99 4.00s",
        "50%@10s:reset: 200 dropped, 200 back: 99 % after 1.98s, all after 2.00s; handshake p50",
        "answers to who stayed: p50 9.00ms, p99 9.00ms until all were back, p50 1.00ms, p99 1.00ms",
        "9 connections at 1000 B a second each: 0 B read, 0 messages, 2 closed by the server",
        "2 x slow consumers: the server closed with code 1008",
        "10%@20s:fin: the run ended before it",
        "1,500 not sent and not due",
        "1 x coming back: server answered 503",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn values() {
    let document = document(&["--rate", "2000"], &echo());
    let at = |path: &str| path.split('.').fold(&document, |value, name| &value[name]);
    assert_eq!(at("schema"), "plimsoll.loadgen/1");
    assert_eq!(at("verdict"), "valid");
    assert_eq!(at("verdict_reasons").as_array().unwrap().len(), 0);
    assert_eq!(at("connections.errors")["closed by the server with 1001"], 2);
    assert_eq!(at("messages.rate_requested").as_f64(), Some(2000.0));
    assert_eq!(at("messages.rate_achieved").as_f64(), Some(2000.0));
    assert_eq!(at("messages.unanswered_age.count").as_u64(), Some(2));
    assert_eq!(at("generator.threads").as_u64(), Some(2));
    // 2.575 s over 59,998 replies.
    let each = at("generator.cpu_us_per_message").as_f64().unwrap();
    assert!((each - 42.918).abs() < 0.001, "{each}");
    let bytes = at("server.bytes_per_connection").as_f64().unwrap();
    assert!((bytes - 524.314).abs() < 0.001, "{bytes}");
    let samples = at("server.samples").as_array().unwrap();
    assert_eq!((samples.len(), samples[1]["cpu_seconds"].as_f64()), (4, Some(3.0)));
    assert!(samples[0]["rss_bytes"].is_null());
    assert!(at("broadcast").is_null());
    assert_eq!(at("phases.connect_s").as_f64(), Some(5.23));
    assert!(at("machine.kernel").as_str().unwrap().contains('.'));
}

#[test]
fn latencies_are_integers_and_only_kinds_that_happened() {
    let document = document(&["--rate", "2000"], &echo());
    let latency = document["latency"].as_object().unwrap();
    let kinds: BTreeSet<_> = latency.keys().map(String::as_str).collect();
    assert_eq!(kinds, BTreeSet::from(["connect", "response", "service", "send_lag", "ping"]));
    for (kind, summary) in latency {
        let summary = summary.as_object().unwrap();
        assert_eq!(summary.len(), 11, "{kind}");
        assert!(summary.values().all(|value| value.as_u64().is_some()), "{kind}: {summary:?}");
    }
}

#[test]
fn what_was_not_measured_is_null() {
    let mut outcome = Outcome::default();
    outcome.tally.requested = 1;
    let document = document(&["--mode", "idle"], &outcome);
    assert!(document["server"].is_null() && document["broadcast"].is_null());
    assert!(document["generator"]["cpu_us_per_message"].is_null());
    assert_eq!(document["messages"]["rate_requested"].as_f64(), Some(0.0));
    assert_eq!(document["latency"].as_object().unwrap().len(), 0);
    assert_eq!(document["verdict"], "inconclusive");
}

fn text(args: &[&str], outcome: &Outcome, style: Style) -> String {
    let plan = plan(args);
    let judgement = judge(&plan, outcome);
    Finished { plan: &plan, outcome, judgement: &judgement, held: &[] }.to_text(style)
}

#[test]
fn the_report_of_an_echo_run() {
    let args = ["-c", "100k", "--rate", "2000", "--verify"];
    assert_eq!(text(&args, &echo(), Style::PLAIN), include_str!("echo.txt"));
}

#[test]
fn the_report_of_a_broadcast_run() {
    let args = ["--mode", "broadcast", "-c", "100k", "--rate", "2000", "--rooms", "5"];
    let mut outcome = broadcast();
    outcome.server = None;
    outcome.generator.threads[0].cpu = Duration::from_secs(29);
    assert_eq!(text(&args, &outcome, Style::PLAIN), include_str!("broadcast.txt"));
}

/// What is marked in the table stands in the document, with how long to run.
#[test]
fn the_document_says_which_percentiles_few_samples_decide() {
    let document = document(&["--rate", "2000"], &echo());
    let confidence = &document["confidence"];
    // 59,998 samples in 30 s: 100,000 take 51 s.
    let unsure = simd_json::json!({ "p999": 51, "p9999": 501 });
    assert_eq!(confidence["response"], unsure);
    assert_eq!(confidence["connect"]["p999"], simd_json::json!(null));
    let kinds = |value: &simd_json::OwnedValue| value.as_object().unwrap().len();
    assert_eq!(kinds(confidence), kinds(&document["latency"]));
}

/// Nobody shall read the tool's latency as the server's.
#[test]
fn the_floor_is_said_and_who_is_near_it() {
    let mut outcome = echo();
    assert!(document(&[], &outcome)["generator"]["floor"].is_null());
    let floor =
        |p50| Some(crate::measure::Summary { count: 150, p50, p99: 90_000, ..Default::default() });
    // The median response is 69.1 us.
    for (p50, near) in [(34_000, false), (36_000, true)] {
        outcome.floor = floor(p50);
        let said = text(&["--rate", "2000"], &outcome, Style::PLAIN);
        assert!(
            said.contains(&format!("floor         p50 {}.0us, p99 90.0us: ", p50 / 1000)),
            "{said}"
        );
        assert_eq!(said.contains("response p50 is under twice that"), near, "{said}");
        let found = &document(&[], &outcome)["generator"]["floor"];
        assert_eq!((found["p50"].as_u64(), found["near"].as_bool()), (Some(p50), Some(near)));
    }
}

/// What went wrong is said in every mode, verified or not.
#[test]
fn faults_are_never_hidden() {
    let mut outcome = echo();
    let tally = &mut outcome.tally;
    (tally.corrupt, tally.strays, tally.sent) = (3, 4, 59_990);
    tally.close_error("not answered in time");
    (tally.pings_unsent, tally.pings_overdue, tally.pings_coalesced) = (5, 6, 7);
    for mode in [&["--rate", "2000"][..], &["--mode", "idle"]] {
        let text = text(mode, &outcome, Style::PLAIN);
        for words in [
            "3 corrupt",
            "4 unasked for",
            "5 unsent",
            "6 due before",
            "7 answered by",
            "1 x while closing: not answered in time",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    let text = text(&["--rate", "2000"], &outcome, Style::PLAIN);
    assert!(text.contains("60,000 due, 59,990 sent, 10 unsent, 59,998 answered"), "{text}");
}

#[test]
fn colours_add_nothing_but_colours() {
    let args = ["--rate", "2000"];
    let plain = text(&args, &echo(), Style::PLAIN);
    let mut coloured = text(&args, &echo(), Style::COLOURED);
    assert!(!plain.contains('\x1b') && coloured.contains("\x1b[1;32mvalid"));
    for code in ["0", "1", "2", "1;31", "1;32", "1;33"] {
        coloured = coloured.replace(&format!("\x1b[{code}m"), "");
    }
    assert_eq!(coloured, plain);
}

#[test]
fn percentiles_that_few_samples_decide_are_marked() {
    let marked = |count: u64| {
        let mut outcome = Outcome::default();
        latencies(&mut outcome, Kind::Ping, count, |_| 5);
        let lines = table::lines(&outcome.latencies, None, Style::PLAIN);
        lines[1].matches('*').count()
    };
    let counts = [99, 200, 1_000, 2_000, 10_000, 100_000, 999_999, 1_000_000];
    assert_eq!(counts.map(marked), [6, 5, 4, 3, 2, 1, 1, 0]);
}

/// A run of two seconds and a drain, in which the second one stalled.
fn two_seconds() -> Outcome {
    let window = |count: u64, us: u64| {
        let mut latencies = Latencies::default();
        (0..count).for_each(|k| latencies.record(Kind::Response, (us + k) * 1000));
        latencies
    };
    let windows = vec![window(1000, 100), window(500, 90_000), window(3, 200_000)];
    let mut outcome = Outcome {
        timeline: Timeline { windows, window_s: 1, phases: Vec::new() },
        phases: Phases { measure: Duration::from_secs(2), ..Phases::default() },
        began: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
        ..echo()
    };
    outcome.latencies = Latencies::default();
    (0..10).for_each(|k| outcome.latencies.record(Kind::Connect, 50_000 + k));
    for window in &outcome.timeline.windows {
        outcome.latencies.merge(window);
    }
    outcome
}

#[test]
fn the_log_is_read_back_without_a_loss() {
    let outcome = two_seconds();
    let log = hdr::log(&outcome).unwrap();
    let (mut found, mut sum) = (Vec::new(), Histogram::<u64>::new(3).unwrap());
    for entry in IntervalLogIterator::new(&log) {
        let LogEntry::Interval(interval) = entry.unwrap() else { continue };
        let bytes = BASE64_STANDARD.decode(interval.encoded_histogram()).unwrap();
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
        let tag = interval.tag().unwrap().as_str().to_owned();
        if tag.starts_with("response") {
            sum.add(&read).unwrap();
        }
        found.push((tag, interval.start_timestamp().as_secs(), read.len()));
    }
    let expected = [("response", 0, 1000), ("response", 1, 500), ("response-drain", 2, 3)];
    let expected = expected.into_iter().chain([("connect", 0, 10)]);
    let expected: Vec<_> = expected.map(|(tag, at, n)| (tag.to_owned(), at, n)).collect();
    assert_eq!(found, expected);
    assert_eq!(&sum, outcome.latencies.get(Kind::Response).unwrap().histogram());
    let text = String::from_utf8(log).unwrap();
    assert!(text.contains("#[StartTime: 1700000000.000"), "{text}");
}

#[test]
fn the_report_says_how_sure_it_is() {
    let mut outcome = two_seconds();
    let report = |outcome: &Outcome| text(&[], outcome, Style::PLAIN);
    // 1,503 samples in 2 s: 10,000 take 13.3.
    let text = report(&outcome);
    assert!(text.contains("p95 of response asks for 2,000 samples: --duration 3s"), "{text}");
    assert!(!text.contains("steady state"), "two seconds are too short to say: {text}");
    outcome.phases.measure = Duration::from_secs(3);
    let text = report(&outcome);
    assert!(text.contains("no steady state: over the last three windows of 1 s p50"), "{text}");
}

#[test]
fn rows_by_second() {
    let text = seconds::csv(&two_seconds());
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert!(rows.iter().all(|row| row.len() == 14), "{text}");
    assert_eq!(rows[0][..5], ["second", "seconds", "phase", "kind", "count"]);
    assert_eq!(rows[2][..5], ["1", "1", "measure", "response", "500"]);
    assert_eq!(rows[3][..5], ["2", "1", "drain", "response", "3"]);
    assert_eq!(rows.len(), 4);
}

#[test]
fn percentiles_as_the_plotters_read_them() {
    let text = hdr::percentiles(&two_seconds());
    let rows = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).skip(1);
    let rows: Vec<Vec<f64>> = rows
        .map(|line| line.split_ascii_whitespace().map(|word| word.parse().unwrap()).collect())
        .collect();
    let (first, last) = (&rows[0], rows.last().unwrap());
    assert!((first[0] - 0.1).abs() < 0.001 && first[1] < 0.001, "{first:?}");
    assert!((last[0] - 200.0).abs() < 0.2, "{last:?}");
    assert_eq!((last[1] as u64, last[2] as u64, last.len()), (1, 1503, 3));
    let rising = rows.windows(2).all(|pair| pair[0][0] <= pair[1][0] && pair[0][2] <= pair[1][2]);
    assert!(rising, "{text}");
    assert!(text.contains("#[Mean") && text.contains("Total count    =         1503]"), "{text}");
    assert_eq!(hdr::percentiles(&Outcome::default()), "# nothing was answered\n");
}

/// A result file is the run: what is read makes the same report and the same file again.
#[test]
fn a_result_is_read_as_it_was_written() {
    let line = ["--mode", "broadcast", "--rate", "2000", "--verify", "--slo", "delivery.p99<1ms"];
    let plan = plan(&line);
    let mut outcome = broadcast();
    outcome.began = Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(1_790_000_000_123_456_789));
    let mut second = Latencies::default();
    second.record(Kind::Delivery, 5_000);
    outcome.timeline = Timeline {
        windows: vec![second, Latencies::default()],
        window_s: 1,
        ..Timeline::default()
    };
    let (judgement, held) = (judge(&plan, &outcome), plan.slo.as_ref().unwrap().hold(&outcome));
    let written = Finished { plan: &plan, outcome: &outcome, judgement: &judgement, held: &held };
    let text = to_json(written, None).unwrap();
    let read = Recorded::parse(Path::new("x.json"), text.clone().into_bytes()).unwrap();
    let again = Finished::from(&read.run);
    assert_eq!(again.to_text(Style::PLAIN), written.to_text(Style::PLAIN));
    assert_eq!(to_json(again, None).unwrap(), text);
    for format in [Format::Csv, Format::Hgrm, Format::Hlog] {
        assert_eq!(
            super::document(format, again, None).unwrap(),
            super::document(format, written, None).unwrap()
        );
    }
}

#[test]
fn a_file_that_is_no_result_is_refused() {
    let outcome = echo();
    let plan = plan(&["--rate", "2000"]);
    let judgement = judge(&plan, &outcome);
    let run = Finished { plan: &plan, outcome: &outcome, judgement: &judgement, held: &[] };
    let summary = json::to_summary(run, None).unwrap();
    let whole = to_json(run, None).unwrap();
    assert!(summary.len() < 10_000 && whole.len() > summary.len(), "{}", summary.len());
    let later = whole.replace("plimsoll.loadgen/1", "plimsoll.loadgen/2");
    let damaged = whole.replacen("HISTF", "HISTX", 1);
    for (text, why) in [
        (summary.as_str(), "it is a summary, without the histograms; name a file"),
        (later.as_str(), "its schema is plimsoll.loadgen/2, not plimsoll.loadgen/1; use the"),
        (damaged.as_str(), "a histogram is no V2"),
        ("{}", "it is no result of loadgen"),
        ("", "it is no result of loadgen"),
        ("second,seconds", "it is no result of loadgen"),
    ] {
        let error = Recorded::parse(Path::new("x.json"), text.as_bytes().to_vec());
        let error = error.err().unwrap().to_string();
        assert!(error.starts_with("x.json: ") && error.contains(why), "{error}");
    }
    let error = Recorded::read(Path::new("/no/such.json")).err().unwrap().to_string();
    let said = "/no/such.json: it cannot be read (No such file or directory); name a file that can";
    assert_eq!(error, said);
}
