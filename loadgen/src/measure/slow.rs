//! What became of slow consumers: they are in no other count and in no other histogram.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Latency;
use super::tally::add_causes;

/// Connections that read at a trickle on purpose, of one thread or of all added up. Messages are
/// those of the measured window.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct SlowTally {
    /// Those that were established.
    pub connections: u64,
    /// Bytes that they read until all was measured, heads included.
    pub bytes_read: u64,
    /// Those that the server or the network ended.
    pub closed_early: u64,
    /// Why.
    pub errors: BTreeMap<String, u64>,
    /// Messages that fell due on them.
    pub due: u64,
    /// Those that were sent.
    pub sent: u64,
    /// Replies or deliveries to them.
    pub received: u64,
    /// Messages due that were not answered.
    pub unanswered: u64,
    /// How long answers took.
    pub answers: Latency,
}

impl SlowTally {
    pub(super) fn merge(&mut self, other: &Self) {
        self.connections += other.connections;
        self.bytes_read += other.bytes_read;
        self.closed_early += other.closed_early;
        add_causes(&mut self.errors, &other.errors);
        self.due += other.due;
        self.sent += other.sent;
        self.received += other.received;
        self.unanswered += other.unanswered;
        self.answers.merge(&other.answers);
    }
}
