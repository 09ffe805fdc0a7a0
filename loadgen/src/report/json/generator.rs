//! `generator`: what the generator itself used, and what it adds to a latency.

use serde::Serialize;

use crate::cost::us_per_message;
use crate::measure::Summary;
use crate::report::Finished;

#[derive(Serialize)]
pub(super) struct Generator<'a> {
    threads: usize,
    cpu_seconds: f64,
    cpu_us_per_message: Option<f64>,
    /// From before the first connection until all are established.
    connect_cpu_seconds: f64,
    /// Of its process, and so of a server inside too.
    rss_bytes_idle: u64,
    rss_bytes_connected: u64,
    bytes_per_connection: Option<f64>,
    busiest_thread_percent: f64,
    /// Time that all threads together could have run but had no core.
    waited_seconds: f64,
    /// How late messages were by the generator's own doing.
    own_lag: Option<Summary>,
    cores: Vec<CoreShare<'a>>,
    /// What it would have reported of an echo that costs nothing; null if that was not measured.
    floor: Option<Floor>,
}

#[derive(Serialize)]
struct Floor {
    #[serde(flatten)]
    response: Summary,
    /// Whether the median answer of the run was under two such medians.
    near: bool,
}

#[derive(Serialize)]
struct CoreShare<'a> {
    cores: &'a [usize],
    percent: f64,
}

pub(super) fn generator(finished: Finished<'_>) -> Generator<'_> {
    let health = &finished.outcome.generator;
    let shares = health.core_percents().into_iter();
    Generator {
        threads: health.threads.len(),
        cpu_seconds: health.cpu().as_secs_f64(),
        cpu_us_per_message: us_per_message(health.cpu(), finished.messages()),
        connect_cpu_seconds: health.setup.cpu.as_secs_f64(),
        rss_bytes_idle: health.setup.rss_idle,
        rss_bytes_connected: health.setup.rss_connected,
        bytes_per_connection: health.setup.bytes_per_connection(finished.outcome.tally.established),
        busiest_thread_percent: health.busiest_thread_percent(),
        own_lag: Some(finished.outcome.tally.own_lag.summary()).filter(|lag| lag.count > 0),
        waited_seconds: health.threads.iter().map(|thread| thread.waited.as_secs_f64()).sum(),
        floor: finished
            .outcome
            .floor
            .map(|floor| Floor { response: floor, near: finished.outcome.is_near_the_floor() }),
        cores: shares.map(|(cores, percent)| CoreShare { cores, percent }).collect(),
    }
}
