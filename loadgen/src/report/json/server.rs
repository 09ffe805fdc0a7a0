//! `server`: what the server cost.

use serde::Serialize;

use crate::cost::{KernelGrowth, Sample, us_per_message};
use crate::report::Finished;

#[derive(Serialize)]
pub(super) struct Server<'a> {
    /// Null if it tells its figures by itself.
    pid: Option<u32>,
    /// The page on which it tells them.
    metrics: Option<&'a str>,
    cpu_seconds: f64,
    cpu_us_per_message: Option<f64>,
    /// From before the first connection until all are established.
    connect_cpu_seconds: f64,
    rss_bytes_idle: u64,
    rss_bytes_connected: u64,
    rss_bytes_after: u64,
    bytes_per_connection: Option<f64>,
    /// Whether the bytes are those of generator and server together.
    shared_process: bool,
    /// Of this whole machine, idle to connected.
    kernel_growth: KernelGrowth,
    kernel_bytes_per_connection: Option<f64>,
    /// A look each second.
    samples: &'a [Sample],
}

pub(super) fn server(finished: Finished<'_>) -> Option<Server<'_>> {
    let established = finished.outcome.tally.established;
    let cost = finished.outcome.server.as_ref()?;
    Some(Server {
        pid: cost.pid,
        metrics: cost.page.as_deref(),
        cpu_seconds: cost.cpu.as_secs_f64(),
        cpu_us_per_message: us_per_message(cost.cpu, finished.messages()),
        connect_cpu_seconds: cost.setup.cpu.as_secs_f64(),
        rss_bytes_idle: cost.setup.rss_idle,
        rss_bytes_connected: cost.setup.rss_connected,
        rss_bytes_after: cost.rss_after,
        bytes_per_connection: cost.bytes_per_connection(established),
        shared_process: cost.shared_process,
        kernel_growth: cost.kernel,
        kernel_bytes_per_connection: cost.kernel_bytes_per_connection(established),
        samples: &cost.samples,
    })
}
