//! The measuring rig of `scripts/bench-echo`: what an echo costs at least, and a client that
//! treats every server alike.
//!
//! - `rig raw`: a TCP echo on epoll without any framing. One read, one write of the same bytes: the
//!   practical limit for a server of this kind.
//! - `rig client`: one thread, N connections, k messages in flight on each, closed loop. It sends a
//!   batch in one write and expects the answers by byte count, so that its own cost is small and
//!   the same for every server; the first and the last answer of each connection are compared byte
//!   by byte.
//!
//! It uses none of the library: a fault there must not hide here. It measures no latency; that is
//! what `loadgen` is for.

mod client;
mod cpu;
mod frames;
mod options;
mod raw;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let done = match args.next().as_deref() {
        Some("raw") => raw::serve(args),
        Some("client") => client::run(args),
        _ => Err(options::USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rig: {error}");
            ExitCode::from(2)
        }
    }
}
