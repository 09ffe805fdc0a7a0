//! `loadgen find` against servers whose limit is known. A program of its own, so that no other test
//! takes the cores meanwhile.

#![allow(clippy::unwrap_used)]

#[path = "run/server.rs"]
mod server;

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::Parser as _;
use loadgen::cli::{Cli, Command};
use loadgen::find::{Answer, FindError, Interval, Limit, Step, find};
use loadgen::run::RunError;
use server::{Manner, Server};

/// One search at a time: two would take each other's cores.
static ALONE: Mutex<()> = Mutex::new(());

fn search(line: &str) -> Result<Answer, FindError> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let line = format!("loadgen find {line} --no-pin --quiet --heartbeat off");
    let cli = Cli::try_parse_from(line.split_ascii_whitespace()).unwrap();
    let Some(Command::Find(args)) = cli.command else { panic!("{line} is no search") };
    find(&args.find().unwrap(), &AtomicBool::new(false), |_, _| {})
}

/// Every step, for whoever has to find out why.
fn steps(answer: &Answer) -> String {
    let line = |step: &Step| format!("{} {} {:?}\n", step.load, step.passed, step.limit);
    answer.steps.iter().map(line).collect()
}

/// A server that answers 2,000 messages a second and no more: that is what is found. Its answers
/// take 300 ms besides, so that a busy machine's own delays are small to what is judged.
#[test]
fn a_cap_is_found_to_a_tenth() {
    let server = Server::start(Manner::Cap(2000, Duration::from_millis(300)));
    let answer = search(&format!(
        "rate ws://{}/ -c 20 -t 1 --rate 1500 --step 1500ms --warmup 500ms --drain 700ms \
         --slo response.p99<400ms,errors<0.1%",
        server.address
    ))
    .unwrap();
    let Interval { passing: Some(low), failing: Some(high) } = answer.interval else {
        panic!("no interval\n{}", steps(&answer))
    };
    assert!((1800.0..=2200.0).contains(&low) && low < high, "{}", steps(&answer));
    assert!(high <= 2400.0, "{}", steps(&answer));
    let (limit, why) = answer.gave_way.clone().unwrap();
    assert!(matches!(limit, Limit::Latency | Limit::Errors), "{limit:?}: {why}");
    assert!(answer.curve.len() >= 8, "{} points", answer.curve.len());
    assert!(answer.curve.windows(2).all(|pair| pair[0].load < pair[1].load));
    let found = answer.curve.iter().find(|point| point.load.to_bits() == low.to_bits()).unwrap();
    let p99 = found.latency.unwrap().p99;
    assert!(found.passed && (300_000_000..400_000_000).contains(&p99), "{p99}");
    assert_eq!(answer.standing().unwrap().plan.connections, 20);
    assert!(answer.sizing[0].messages_per_second > 0.0);
}

/// A full server refuses the 151st: the limit on the axis of connections.
#[test]
fn a_full_server_is_found() {
    // It takes its time besides: see above.
    let server = Server::with_room(Manner::Cap(1_000_000, Duration::from_millis(300)), 150);
    let answer = search(&format!(
        "connections ws://{}/ -c 100 -t 1 --rate 1000 --step 500ms --warmup 0ms --drain 700ms \
         --slo established>=100% --tolerance 1% --max 1000",
        server.address
    ))
    .unwrap();
    assert_eq!(answer.interval.passing, Some(150.0), "{}", steps(&answer));
    assert!(answer.interval.failing.is_some_and(|high| (151.0..=153.0).contains(&high)));
    assert_eq!(answer.gave_way.unwrap().0, Limit::Errors);
}

#[test]
fn nobody_there_is_no_answer() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = search(&format!("rate ws://127.0.0.1:{port}/ -c 2 --step 200ms")).err().unwrap();
    assert!(matches!(error, FindError::Run(RunError::NothingConnected { .. })), "{error}");
}
