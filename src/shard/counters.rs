//! What one shard counts. One thread writes; anybody reads, with relaxed loads.
//!
//! A value may be a few turns old when it is read, and two values may be of different turns:
//! they are for metrics and progress lines, never for decisions that must be exact.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::conn::End;

/// A number with a single writer: add is a load and a store, not a locked instruction.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds. Only the owning shard may call it.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Subtracts, for gauges. Only the owning shard may call it.
    #[inline]
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    /// Replaces the value. Only the owning shard may call it.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The value as it was a moment ago.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ident,)+) => {
        /// One shard's numbers, on cache lines of their own.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: Counter,)+
            /// Connections ended, by [`End::index`].
            pub ends: [Counter; End::COUNT],
        }

        impl Counters {
            /// Name, kind (`counter` or `gauge`), help and value of each, `ends` excepted.
            pub fn each(&self, mut see: impl FnMut(&'static str, &'static str, &'static str, u64)) {
                $(see(stringify!($name), stringify!($type), concat!($($doc),+), self.$name.get());)+
            }
        }
    };
}

counters! {
    /// TCP connections accepted, or begun by a client
    accepted: counter,
    /// Accepts that failed for another reason than an empty queue
    accept_errors: counter,
    /// Sockets in the slab, whatever their state
    connections: gauge,
    /// Connections whose handshake is complete and that have not ended
    open: gauge,
    /// Handshakes completed
    opened: counter,
    /// Upgrade requests refused
    refused: counter,
    /// Connections refused for want of room, until their peer has left too
    turned_away: gauge,
    /// Messages received whole
    messages_in: counter,
    /// Messages sent, each delivery of a broadcast counted
    messages_out: counter,
    /// Bytes read from sockets
    bytes_in: counter,
    /// Bytes that sockets took
    bytes_out: counter,
    /// Pings received
    pings_in: counter,
    /// Pings sent by the server's own heartbeat
    pings_out: counter,
    /// Calls that read a socket, failed ones too
    reads: counter,
    /// Calls that write to a socket, failed ones too
    writes: counter,
    /// Turns of the loop, each one wait for readiness
    turns: counter,
    /// Bytes held for slow peers and for messages half received, broadcasts under way excepted
    buffered_bytes: gauge,
    /// Bytes of broadcasts that this shard's members have not taken, blocks shared with others too
    shared_bytes: gauge,
    /// Times a peer's reads were paused for its own backlog or a full mailbox
    pauses: counter,
    /// Mails handed to other shards
    mails_out: counter,
    /// Mails that found a full mailbox, each tried again
    mails_refused: counter,
    /// Bytes of user memory kept for the slab and the pools
    memory_bytes: gauge,
}

/// What a shard moves, gathered in plain numbers and published once for each turn of the loop.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Calls that read a socket, failed ones too.
    pub(super) reads: u64,
    /// Bytes read.
    pub(super) bytes_in: u64,
    writes: u64,
    bytes_out: u64,
}

impl Flow {
    /// So many calls that write, and the bytes that sockets took.
    #[inline]
    pub(super) fn wrote(&mut self, calls: u64, bytes: u64) {
        self.writes += calls;
        self.bytes_out += bytes;
    }

    /// Adds all of it to the counters.
    pub(super) fn publish(&mut self, counters: &Counters) {
        let Self { reads, bytes_in, writes, bytes_out } = std::mem::take(self);
        counters.reads.add(reads);
        counters.bytes_in.add(bytes_in);
        counters.writes.add(writes);
        counters.bytes_out.add(bytes_out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_line_up() {
        let counters = Counters::default();
        counters.reads.add(3);
        counters.connections.set(7);
        counters.connections.sub(2);
        let mut seen = Vec::new();
        counters.each(|name, kind, _, value| {
            if value != 0 {
                seen.push((name, kind, value));
            }
        });
        assert_eq!(seen, [("connections", "gauge", 5), ("reads", "counter", 3)]);
    }
}
