//! The measuring rig of `scripts/bench-peers`: what an echo costs at least, and a client that
//! treats every server alike.
//!
//! - `rig raw`: a TCP echo on epoll without any framing. One read, one write of the same bytes: the
//!   practical limit for a server of this kind. On a second port it writes what it reads to
//!   everyone there.
//! - `rig client`: one thread, N connections, k messages in flight on each, closed loop. It sends a
//!   batch in one write and expects the answers by byte count, so that its own cost is small and
//!   the same for every server; the first and the last answer of each connection are compared byte
//!   by byte. It also publishes to a thousand subscribers, and holds connections that are idle.
//!
//! It uses none of the library: a fault there must not hide here. It measures no latency; that is
//! what `loadgen` is for.

mod broadcast;
mod client;
mod connection;
mod frames;
mod hold;
mod measured;
mod options;
mod proc;
mod raw;

use options::{Mode, Options};
use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let done = match args.next().as_deref() {
        Some("raw") => raw::serve(args),
        Some("client") => Options::parse(args).and_then(|options| drive(&options)),
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

fn drive(options: &Options) -> Result<(), Box<dyn Error>> {
    match options.mode {
        Mode::Echo => client::run(options),
        Mode::Broadcast => broadcast::run(options),
        Mode::Hold => hold::run(options),
    }
}
