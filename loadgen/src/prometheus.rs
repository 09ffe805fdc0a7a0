//! `--prometheus ADDR`: the run so far, for a scraper, while it lasts (Prometheus text format,
//! version 0.0.4).
//!
//! A thread of its own reads the cells that the live view reads. It never touches a reactor thread,
//! and what it serves is coarse: the result comes from the report. Names follow the format's
//! conventions: `loadgen_` in front, seconds, `_total` behind counters.

use std::fmt::{Display, Write as _};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::sync::oneshot;

use crate::cost::generator_cpu;
use crate::human::reason;
use crate::progress::{Board, Snapshot, Stage, Times};

/// The media type that scrapers look for.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Nanoseconds of a second.
const NS: f64 = 1e9;
/// Quantiles that are worked out here, for who has no `histogram_quantile`.
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// Nobody could scrape the run.
#[derive(Debug, thiserror::Error)]
#[error(
    "--prometheus {address}: it cannot be listened on ({}); give a free port of an address of this \
     machine, such as 127.0.0.1:9464",
    reason(error)
)]
pub struct PrometheusError {
    /// What was asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub error: io::Error,
}

/// An address that is listened on; nobody is answered yet.
#[derive(Debug)]
pub(crate) struct Port {
    listener: TcpListener,
    address: SocketAddr,
}

impl Port {
    /// Before the run, so that a bad address costs none.
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, PrometheusError> {
        let listener = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        match listener {
            Ok(listener) => Ok(Self { listener, address }),
            Err(error) => Err(PrometheusError { address, error }),
        }
    }
}

/// The thread that answers. Dropping it ends that at once, whoever is being answered.
#[derive(Debug)]
pub(crate) struct Exporter(Option<(oneshot::Sender<()>, JoinHandle<()>)>);

impl Exporter {
    /// Answers from now on.
    pub(crate) fn start(port: Port, board: &Arc<Board>) -> Result<Self, PrometheusError> {
        let Port { listener, address } = port;
        let failed = |error| PrometheusError { address, error };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime = runtime.map_err(failed)?;
        let board = Arc::clone(board);
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                // A listener that the runtime does not take, or a panic there, ends the figures and
                // not the run.
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                let page = move || {
                    let page = render(&board);
                    async move { ([(CONTENT_TYPE, TEXT)], page) }
                };
                let routes = Router::new().route("/metrics", get(page));
                tokio::spawn(async move { axum::serve(listener, routes).await });
                let _ = stopped.await;
            });
        };
        let thread = Builder::new().name("prometheus".to_owned()).spawn(serve).map_err(failed)?;
        Ok(Self(Some((stop, thread))))
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            // A panic there has been printed by then.
            let _ = thread.join();
        }
    }
}

/// One page of all figures.
fn render(board: &Board) -> String {
    let now = Snapshot::take(&board.cells);
    let mut page = Page(String::with_capacity(8192));
    let requested = u64::from(board.shown.requested);
    page.one("connections_requested", "gauge", "Connections asked for", requested);
    page.one("connections_established_total", "counter", "Connections established", now.connected);
    let help = "Connections that failed or ended early";
    page.one("connections_failed_total", "counter", help, now.failed);
    page.one("messages_sent_total", "counter", "Messages sent", now.sent);
    page.one("messages_received_total", "counter", "Messages received", now.received);
    if let Some(rate) = board.shown.rate {
        page.one("messages_requested_rate", "gauge", "Messages a second asked for", rate);
    }
    let help = "What was waited for, from the intended send time; warm-up included";
    page.times("response", help, &now.response);
    let help = "How late messages left, over their intended time; warm-up included";
    page.times("send_lag", help, &now.lag);
    let help = "CPU time of the generator's threads";
    let cpu = generator_cpu().as_secs_f64();
    page.one("generator_cpu_seconds_total", "counter", help, cpu);
    page.stage(board.stage());
    page.0
}

struct Page(String);

impl Page {
    fn line(&mut self, line: impl Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP loadgen_{name} {help}"));
        self.line(format_args!("# TYPE loadgen_{name} {kind}"));
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.line(format_args!("loadgen_{name} {value}"));
    }

    /// A histogram by powers of two, and quantiles of it.
    fn times(&mut self, name: &str, help: &str, times: &Times) {
        let series = format!("{name}_seconds");
        self.head(&series, "histogram", help);
        for (ns, below) in times.cumulative() {
            let bound = ns as f64 / NS;
            self.line(format_args!("loadgen_{series}_bucket{{le=\"{bound}\"}} {below}"));
        }
        // Times over 137 s count as that long.
        let count = times.count();
        self.line(format_args!("loadgen_{series}_bucket{{le=\"+Inf\"}} {count}"));
        self.line(format_args!("loadgen_{series}_sum {}", times.sum as f64 / NS));
        self.line(format_args!("loadgen_{series}_count {count}"));
        let series = format!("{name}_quantile_seconds");
        self.head(&series, "gauge", "Quantiles of the run so far, at most an eighth too high");
        for quantile in QUANTILES {
            let value = times.quantile(quantile).map_or(f64::NAN, |ns| ns as f64 / NS);
            self.line(format_args!("loadgen_{series}{{quantile=\"{quantile}\"}} {value}"));
        }
    }

    fn stage(&mut self, now: Stage) {
        self.head("stage", "gauge", "1 for the part of the run that is under way");
        for stage in Stage::ALL {
            let name = stage.name().to_lowercase().replace(' ', "_");
            let value = u8::from(stage == now);
            self.line(format_args!("loadgen_stage{{stage=\"{name}\"}} {value}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{LiveCell, Shown};

    #[test]
    fn a_page() {
        let cells: Arc<[LiveCell]> = [LiveCell::default(), LiveCell::default()].into();
        cells[0].connected.add(7);
        cells[1].connected.add(3);
        cells[1].sent.add(5);
        (0..99).for_each(|_| cells[0].response.record(1_000_000));
        cells[1].response.record(3_000_000_000);
        let shown = Shown { requested: 10, rate: Some(50.0), ..Shown::default() };
        let board = Board::new(cells, shown);
        board.enter(Stage::WarmingUp);
        let page = render(&board);
        for line in [
            "# TYPE loadgen_connections_established_total counter",
            "loadgen_connections_established_total 10",
            "loadgen_messages_sent_total 5",
            "loadgen_messages_requested_rate 50",
            "# TYPE loadgen_response_seconds histogram",
            "loadgen_response_seconds_bucket{le=\"0.000524288\"} 0",
            "loadgen_response_seconds_bucket{le=\"0.001048576\"} 99",
            "loadgen_response_seconds_bucket{le=\"4.294967296\"} 100",
            "loadgen_response_seconds_bucket{le=\"+Inf\"} 100",
            "loadgen_response_seconds_sum 3.099",
            "loadgen_response_seconds_count 100",
            "loadgen_response_quantile_seconds{quantile=\"0.5\"} 0.001048576",
            "loadgen_send_lag_quantile_seconds{quantile=\"0.5\"} NaN",
            "loadgen_stage{stage=\"warming_up\"} 1",
            "loadgen_stage{stage=\"measuring\"} 0",
        ] {
            assert!(page.lines().any(|one| one == line), "{line} is missing:\n{page}");
        }
        // Each series has one type, and each line but comments is a name and a number.
        let types: Vec<_> = page.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let mut once = types.clone();
        once.dedup();
        assert_eq!(types, once);
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with("loadgen_") && value.parse::<f64>().is_ok(), "{line}");
        }
    }

    #[test]
    fn an_address_that_is_taken_is_refused() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = Port::bind(address).unwrap_err().to_string();
        let said = format!("--prometheus {address}: it cannot be listened on (Address already in");
        assert!(error.starts_with(&said), "{error}");
    }
}
