//! Ctrl-C and SIGTERM: the first ends the measured window early and in order, so that what was
//! measured is reported; the second ends the process at once.
//!
//! No handler is installed. One on a shard, whose descriptor table is its own, could write into a
//! socket that has the number of somebody else's pipe. Signals are blocked in every thread, and
//! one thread waits for them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;

use nix::sys::signal::{SigSet, Signal};

use crate::progress;

/// What a shell reports of a program that SIGINT ended: 128 + 2.
const INTERRUPTED: i32 = 130;

/// Becomes true at the first signal. Must be called before any other thread is started: each
/// inherits the mask of the one that starts it.
pub fn watch() -> io::Result<Arc<AtomicBool>> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
    signals.thread_block()?;
    let asked = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&asked);
    let wait = move || {
        while signals.wait().is_ok() {
            if flag.swap(true, Ordering::Release) {
                progress::restore();
                std::process::exit(INTERRUPTED);
            }
        }
    };
    Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(asked)
}
