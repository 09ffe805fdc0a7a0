//! What is counted rather than timed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Latency, LifeTally, PhaseCounts, SlowTally};

/// Counts of one thread, or of all of them added up. Message counts are those of the measured
/// window, by intended send time; connection counts are those of the whole run.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Connections asked for.
    pub requested: u64,
    /// Connections whose 101 was checked.
    pub established: u64,
    /// Connections that never got there.
    pub failed: u64,
    /// Established ones that ended before the generator ended them.
    pub closed_early: u64,
    /// Failures and early ends by cause. A cause names what happened and, after a colon, what to do
    /// about it if that is known.
    pub errors: BTreeMap<String, u64>,
    /// Closes that went wrong once all was measured, by cause.
    pub close_errors: BTreeMap<String, u64>,
    /// Messages that fell due, sent or not. Random arrivals are the rate only on average: this is
    /// what could be sent. Each is either received or unanswered in the end, or abandoned with a
    /// connection that was dropped on purpose; and, seen from the other side, either sent or not
    /// (broadcast: a delivery answers nothing, so the latter only).
    pub due: u64,
    /// Those of a closed loop that were sent before the window and still outstanding in it.
    pub carried: u64,
    /// Messages sent (broadcast: published).
    pub sent: u64,
    /// Replies to them (broadcast: deliveries).
    pub received: u64,
    /// Messages due whose reply had not come when the drain was over, sent or not.
    pub unanswered: u64,
    /// How long each of the unanswered had been waiting, from its intended time to the end.
    pub unanswered_age: Latency,
    /// Messages that waited in the generator because the server took no more bytes.
    pub held_back: u64,
    /// How late the generator itself was: intended time to handover of the messages (idle mode:
    /// pings) that had to wait for nobody else, and of each later fragment.
    pub own_lag: Latency,
    /// Connections of a closed loop that had no reply in the second half of the window, with all
    /// their messages in flight unanswered: what they would have sent meanwhile is not measured.
    pub frozen: u64,
    /// Pings sent, heartbeats and interleaved ones.
    pub pings_sent: u64,
    /// Pings whose answer had not come when the drain was over.
    pub pings_unanswered: u64,
    /// Heartbeats due while an earlier ping of their connection was not answered yet.
    pub pings_overdue: u64,
    /// Heartbeats due that were never sent: their connection was gone or amid a fragmented message
    /// (text), or the generator was too slow.
    pub pings_unsent: u64,
    /// Pings without a pong of their own, answered by that of a later ping (RFC 6455 5.5.3).
    pub pings_coalesced: u64,
    /// Replies compared with what was sent and found equal.
    pub verified: u64,
    /// Replies that differ from what was sent.
    pub corrupt: u64,
    /// Replies that had come before.
    pub duplicate: u64,
    /// Replies that came after the reply to a later message of their connection.
    pub reordered: u64,
    /// Messages that answer nothing, such as greetings, whenever they came.
    pub strays: u64,
    /// Messages by phase; empty if there is but one.
    pub phases: Vec<PhaseCounts>,
    /// Deliveries of the broadcast mode.
    pub broadcast: Option<BroadcastTally>,
    /// Connections that left and came back.
    pub life: LifeTally,
    /// Connections that read at a trickle; `None` if there are none.
    pub slow: Option<SlowTally>,
}

/// Deliveries of the broadcast mode.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct BroadcastTally {
    /// Deliveries that the publications of the window should have caused.
    pub expected: u64,
    /// Those that came, duplicates left out.
    pub received: u64,
    /// Deliveries that had come before.
    pub duplicate: u64,
    /// Deliveries that came after a later one of the same publisher on the same connection.
    pub reordered: u64,
    /// First to last receipt of each publication.
    pub spread: Latency,
}

impl BroadcastTally {
    /// Deliveries that should have come and did not.
    pub fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.received)
    }

    /// Share of the expected deliveries that came, 0 to 1; 1 when none was expected.
    pub fn reach(&self) -> f64 {
        if self.expected == 0 { 1.0 } else { self.received as f64 / self.expected as f64 }
    }

    fn merge(&mut self, other: &Self) {
        self.expected += other.expected;
        self.received += other.received;
        self.duplicate += other.duplicate;
        self.reordered += other.reordered;
        self.spread.merge(&other.spread);
    }
}

impl Tally {
    /// Established connections that ended by themselves or froze, and did not come back.
    pub fn lost(&self) -> u64 {
        self.closed_early.saturating_sub(self.life.reconnected) + self.frozen
    }

    /// Messages due that were never sent.
    pub fn unsent(&self) -> u64 {
        self.due.saturating_sub(self.sent)
    }

    /// Counts a message of a closed loop that was due before the window, and `sent` if it was.
    pub fn carry(&mut self, sent: bool) {
        self.due += 1;
        self.sent += u64::from(sent);
        self.carried += u64::from(sent);
    }

    /// Counts one error. A cause that was seen before costs no allocation.
    pub fn error(&mut self, cause: &str) {
        count(&mut self.errors, cause);
    }

    /// Counts one close that went wrong.
    pub fn close_error(&mut self, cause: &str) {
        count(&mut self.close_errors, cause);
    }

    /// Adds what another thread counted.
    pub fn merge(&mut self, other: &Self) {
        self.requested += other.requested;
        self.established += other.established;
        self.failed += other.failed;
        self.closed_early += other.closed_early;
        add_causes(&mut self.errors, &other.errors);
        add_causes(&mut self.close_errors, &other.close_errors);
        self.due += other.due;
        self.carried += other.carried;
        self.sent += other.sent;
        self.received += other.received;
        self.unanswered += other.unanswered;
        self.unanswered_age.merge(&other.unanswered_age);
        self.held_back += other.held_back;
        self.own_lag.merge(&other.own_lag);
        self.frozen += other.frozen;
        self.pings_sent += other.pings_sent;
        self.pings_unanswered += other.pings_unanswered;
        self.pings_overdue += other.pings_overdue;
        self.pings_unsent += other.pings_unsent;
        self.pings_coalesced += other.pings_coalesced;
        self.verified += other.verified;
        self.corrupt += other.corrupt;
        self.duplicate += other.duplicate;
        self.reordered += other.reordered;
        self.strays += other.strays;
        let phases = self.phases.len().max(other.phases.len());
        self.phases.resize_with(phases, PhaseCounts::default);
        self.phases.iter_mut().zip(&other.phases).for_each(|(mine, theirs)| mine.merge(theirs));
        if let Some(other) = &other.broadcast {
            self.broadcast.get_or_insert_default().merge(other);
        }
        self.life.merge(&other.life);
        if let Some(other) = &other.slow {
            self.slow.get_or_insert_default().merge(other);
        }
    }
}

/// Adds counts by cause.
pub(super) fn add_causes(mine: &mut BTreeMap<String, u64>, theirs: &BTreeMap<String, u64>) {
    for (cause, count) in theirs {
        *mine.entry(cause.clone()).or_default() += count;
    }
}

/// Causes that are told apart.
const MAX_CAUSES: usize = 200;

pub(super) fn count(errors: &mut BTreeMap<String, u64>, cause: &str) {
    if let Some(count) = errors.get_mut(cause) {
        *count += 1;
    } else {
        // A peer that never says the same twice fills no memory.
        let cause = if errors.len() < MAX_CAUSES { cause } else { "other causes" };
        *errors.entry(cause.to_owned()).or_default() += 1;
    }
}
