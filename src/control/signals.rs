//! SIGTERM and SIGINT.
//!
//! A handler writes to a pipe, by its number, on whichever thread the system picks. On a shard,
//! whose descriptor table is its own, that number is a client's socket. So no shard may ever run a
//! handler: shards are started under [`hold`], and a thread inherits the mask of the one that
//! starts it.

use std::io;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use tokio::signal::unix::{self, SignalKind};

use super::{Asked, OnSignal};

/// Keeps SIGTERM and SIGINT from this thread, and from all that it starts, until it is dropped.
#[derive(Debug)]
#[must_use = "signals are held only as long as this lives"]
pub struct Held(SigSet);

/// Holds SIGTERM and SIGINT back: the system hands them to a thread that does not.
///
/// # Errors
/// None that the system documents.
pub fn hold() -> io::Result<Held> {
    let set: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
    Ok(Held(set.thread_swap_mask(SigmaskHow::SIG_BLOCK)?))
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Err(e) = self.0.thread_set_mask() {
            tracing::error!(error = %e, "signals stay blocked on this thread");
        }
    }
}

/// Handlers that are in place.
pub(super) struct Watch {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    on_signal: OnSignal,
}

impl Watch {
    pub(super) fn new(on_signal: OnSignal) -> io::Result<Self> {
        let terminate = unix::signal(SignalKind::terminate())?;
        let interrupt = unix::signal(SignalKind::interrupt())?;
        Ok(Self { terminate, interrupt, on_signal })
    }
}

/// Waits for signals for ever: the first asks to drain, each later one to stop.
pub(super) async fn watch(watch: Option<Watch>) {
    let Some(mut watch) = watch else { return std::future::pending().await };
    let mut asked = Asked::Drain;
    loop {
        tokio::select! {
            _ = watch.terminate.recv() => {}
            _ = watch.interrupt.recv() => {}
        }
        (watch.on_signal)(asked);
        asked = Asked::Stop;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked() -> bool {
        SigSet::thread_get_mask().unwrap().contains(Signal::SIGTERM)
    }

    #[test]
    fn threads_started_meanwhile_never_get_them() {
        // A thread of its own: the test harness's own mask stays as it is.
        let outcome = std::thread::spawn(|| {
            let before = blocked();
            let held = hold().unwrap();
            let child = std::thread::spawn(blocked).join().unwrap();
            drop(held);
            (before, child, blocked())
        });
        assert_eq!(outcome.join().unwrap(), (false, true, false));
    }
}
