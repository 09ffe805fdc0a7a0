//! Connections counted by the address they come from, for all shards together and without a lock.
//!
//! A count-min table (Cormode and Muthukrishnan, 2005): each address has a counter in each of two
//! rows, at places that a keyed hash chooses, and the smaller of the two is its count. Addresses
//! that meet in both rows count together, so one may be refused early, never let in late: with
//! 100,000 addresses of one connection each a counter holds 1.5 of others in the mean.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

/// Counters in a row: 256 KiB.
const ROW: usize = 1 << 16;

/// How many connections each address has.
#[derive(Debug)]
pub struct Addresses {
    limit: u32,
    rows: [Box<[AtomicU32]>; 2],
    /// Random for each process, so that no peer can aim at another's counters.
    hasher: RandomState,
}

/// A connection that is counted; it goes back to [`Addresses::leave`].
#[derive(Debug)]
#[must_use = "it counts until it is given back"]
pub struct Counted([u16; 2]);

impl Addresses {
    /// Lets each address have `limit` connections.
    pub fn new(limit: u32) -> Self {
        let row = || (0..ROW).map(|_| AtomicU32::new(0)).collect();
        Self { limit, rows: [row(), row()], hasher: RandomState::new() }
    }

    /// Connections that one address may have.
    pub fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Counts one more, unless the address has as many as it may.
    pub fn enter(&self, address: IpAddr) -> Option<Counted> {
        let hash = self.hasher.hash_one(network(address));
        let counted = Counted([hash as u16, (hash >> 16) as u16]);
        // Counted in both rows first and looked at then: two shards at once may both refuse, never
        // both let in. Whoever is the last in the second row sees, by the order of that row's
        // changes, everyone else in the first one too; what a row said at the moment of counting
        // would not do, as two may be let in by a row each.
        let [first, second] = self.counters(&counted);
        first.fetch_add(1, Relaxed);
        let in_second = second.fetch_add(1, AcqRel) + 1;
        let in_first = first.load(Relaxed);
        if in_first.min(in_second) <= self.limit {
            return Some(counted);
        }
        self.leave(counted);
        None
    }

    /// A connection is gone.
    #[expect(clippy::needless_pass_by_value, reason = "it can be given back once")]
    pub fn leave(&self, counted: Counted) {
        for counter in self.counters(&counted) {
            counter.fetch_sub(1, Relaxed);
        }
    }

    fn counters(&self, counted: &Counted) -> [&AtomicU32; 2] {
        let [first, second] = counted.0;
        [&self.rows[0][usize::from(first)], &self.rows[1][usize::from(second)]]
    }
}

/// What counts as one address: of IPv6 the first 64 bits, as one host has all of the rest (RFC 4291
/// 2.5.4); an IPv4 address in IPv6 clothes is what it is.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_address_has_its_own_count() {
        let addresses = Addresses::new(2);
        let (a, b) = (ip("10.0.0.1"), ip("10.0.0.2"));
        let first = addresses.enter(a).unwrap();
        let _second = addresses.enter(a).unwrap();
        for _ in 0..9 {
            assert!(addresses.enter(a).is_none(), "a refusal counts for nothing");
        }
        assert!(addresses.enter(b).is_some());
        addresses.leave(first);
        assert!(addresses.enter(a).is_some());
    }

    #[test]
    fn one_host_is_one_address() {
        assert_eq!(network(ip("::ffff:10.0.0.1")), network(ip("10.0.0.1")));
        assert_eq!(network(ip("2001:db8::1")), network(ip("2001:db8::ffff:1:2")));
        assert_ne!(network(ip("2001:db8::1")), network(ip("2001:db8:0:1::1")));
    }

    #[test]
    fn no_crowd_is_let_in_at_once_and_all_of_it_is_given_back() {
        const SHARDS: usize = 4;
        let addresses = Addresses::new(10);
        let start = std::sync::Barrier::new(SHARDS);
        let held = std::sync::atomic::AtomicUsize::new(0);
        let most = std::sync::atomic::AtomicUsize::new(0);
        let shard = || {
            for _ in 0..2000 {
                start.wait();
                let mine: Vec<Counted> =
                    (0..5).filter_map(|_| addresses.enter(ip("10.0.0.1"))).collect();
                held.fetch_add(mine.len(), Relaxed);
                start.wait();
                most.fetch_max(held.load(Relaxed), Relaxed);
                start.wait();
                held.fetch_sub(mine.len(), Relaxed);
                for counted in mine {
                    addresses.leave(counted);
                }
            }
        };
        std::thread::scope(|scope| (0..SHARDS).for_each(|_| drop(scope.spawn(shard))));
        assert_eq!(most.into_inner(), 10, "as many as may, never one more");
        assert!(addresses.rows.iter().flatten().all(|counter| counter.load(Relaxed) == 0));
    }

    #[test]
    fn a_hundred_thousand_addresses_do_not_refuse_each_other() {
        let addresses = Addresses::new(16);
        let all = (0..100_000_u32).map(|n| IpAddr::V4((0x0a00_0000 + n).into()));
        assert_eq!(all.filter(|address| addresses.enter(*address).is_none()).count(), 0);
    }
}
