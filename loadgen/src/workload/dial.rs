//! Connections begin and end: the ramp, the openings in flight, the closes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use plimsoll::conn::{ConnectFault, End};
use plimsoll::shard::net::Net;
use plimsoll::shard::{Dial, Peers};
use plimsoll::wire::close::CloseCode;

use super::Workload;
use super::cause::{cause, closing_cause, opening_cause};
use super::link::{Local, Status};
use super::route::{Route, connect_failed};
use super::task::Step;
use crate::inflight::{Entry, NIL};
use crate::measure::{Kind, Phase};
use crate::schedule::{Gap, Nanos};

/// Openings in flight on one shard. 16-64 fill the machine; more only adds latency.
const OPENINGS: u32 = 32;
/// Closes in flight on one shard at most, so that each is timed and not its place in a queue.
const CLOSES: u32 = 64;
/// Closes in flight on all shards together: with 56 shards of 64 each the last of a full machine
/// took longer than the close handshake may.
const CLOSES_IN_ALL: u32 = 512;

/// Closes in flight on one of so many shards.
fn closes_of(shards: usize) -> u32 {
    (CLOSES_IN_ALL / (shards as u32).max(1)).clamp(1, CLOSES)
}

/// Connecting under way.
#[derive(Debug)]
pub(super) struct Dialing {
    route: Arc<Route>,
    gap: Option<Gap>,
    next: u32,
    in_flight: u32,
}

impl Workload {
    pub(super) fn dial(&mut self, route: Arc<Route>) {
        let gap = self.task.plan.ramp.map(Gap::per_second);
        if let Some(life) = &mut self.life {
            life.route = Some(Arc::clone(&route));
        }
        self.dialing = Some(Dialing { route, gap, next: 0, in_flight: 0 });
        self.reach(Step::Dialing);
    }

    /// When the next connection is due; never while all places are taken.
    pub(super) fn next_dial(&self) -> Nanos {
        let Some(dialing) = &self.dialing else { return Nanos::MAX };
        if dialing.in_flight >= OPENINGS || dialing.next as usize >= self.links.len() {
            return Nanos::MAX;
        }
        self.dial_time(dialing)
    }

    /// The ramp is one schedule over all connections of the run.
    fn dial_time(&self, dialing: &Dialing) -> Nanos {
        let global = u64::from(self.task.global(self.shard, dialing.next));
        dialing.route.start + dialing.gap.map_or(0, |gap| gap.at(global))
    }

    pub(super) fn dial_due<N: Net>(&mut self, peers: &mut Peers<'_, N, Local>, now: Nanos) {
        // A connect that fails at once frees its place at once: so a bound of its own.
        for _ in 0..OPENINGS {
            if self.next_dial() > now {
                break;
            }
            let Some(dialing) = &mut self.dialing else { break };
            let local = dialing.next;
            dialing.next += 1;
            dialing.in_flight += 1;
            let route = Arc::clone(&dialing.route);
            self.dial_one(peers, local, &route, now);
        }
        self.check_ready();
    }

    pub(super) fn dial_one<N: Net>(
        &mut self,
        peers: &mut Peers<'_, N, Local>,
        local: u32,
        route: &Route,
        now: Nanos,
    ) {
        let global = self.task.global(self.shard, local);
        let (server, number) = self.task.plan.place(global);
        let server = &route.servers[server as usize];
        let upgrade = self.upgrade(global, &server.host);
        let from = server.sources[number as usize % server.sources.len()];
        // The clock is read for each: a batch of connects takes longer than one handshake.
        let begun = self.task.nanos(Instant::now());
        let link = &mut self.links[local as usize];
        link.status = Status::Opening;
        link.current = self.arena.insert(Entry::begun(begun));
        let dial = Dial { to: server.to, from, upgrade };
        match peers.connect(dial, Local(local)) {
            Ok(id) => {
                self.links[local as usize].id = Some(id);
                let slow = self.slow.as_ref().filter(|_| self.is_slow(local));
                let shape = slow.map(|slow| &slow.shape).or(self.manner.shape.as_ref());
                if let Some(shape) = shape {
                    peers.shape(id, shape);
                }
            }
            Err((_, fault)) if self.absence(local).is_some() => {
                self.not_back(local, &connect_failed(fault, from, server.to), now);
            }
            Err((_, fault)) => {
                let text = connect_failed(fault, from, server.to);
                // Each further search for a port would take as long as this one and find as little.
                if fault == ConnectFault::NoLocalPort {
                    self.skip_the_rest(&text);
                }
                self.never_opened(local, &text);
            }
        }
    }

    pub(super) fn tcp_is_there(&mut self, local: u32, now: Nanos) {
        let entry = self.arena.get_mut(self.links[local as usize].current);
        entry.sent = now;
        let took = now.saturating_sub(entry.intended);
        self.reconnected(local, took);
    }

    /// It is established; true if not for the first time.
    pub(super) fn opened(&mut self, local: u32, now: Nanos) -> bool {
        let link = &mut self.links[local as usize];
        let entry = self.arena.remove(link.current);
        link.current = NIL;
        link.status = Status::Open;
        // Who had to join as well has had its 101 before.
        let checked = if entry.last == 0 { now } else { entry.last };
        let handshake = checked.saturating_sub(entry.sent);
        if self.absence(local).is_some() {
            self.came_back(local, handshake, now);
            return true;
        }
        let aside = self.step_aside(local);
        self.recorder.record(Kind::Handshake, Phase::Warmup, handshake);
        // Of all there are, and besides of the slow ones.
        self.tally.established += u64::from(aside);
        self.step_back(aside);
        self.tally.established += 1;
        self.established_at_server(local);
        self.cell().connected.add(1);
        self.notice().established.store(self.tally.established as u32, Relaxed);
        self.await_beat(local, now);
        self.place_is_free();
        false
    }

    fn place_is_free(&mut self) {
        if let Some(dialing) = &mut self.dialing {
            dialing.in_flight -= 1;
        }
        self.check_ready();
    }

    /// Every connection is established or given up: who is there takes part.
    fn check_ready(&mut self) {
        let Some(dialing) = &self.dialing else { return };
        if dialing.in_flight > 0 || (dialing.next as usize) < self.links.len() {
            return;
        }
        self.dialing = None;
        // Who was lost meanwhile and comes back is a member too.
        let there = |local: &u32| {
            let link = &self.links[*local as usize];
            link.is_open() || link.status == Status::Away
        };
        self.members = (0..self.links.len() as u32).filter(there).collect();
        if let Some(rooms) = &mut self.rooms {
            let globals = self.members.iter().map(|&local| self.task.global(self.shard, local));
            let hears = |connection: &u32| !self.task.is_slow(*connection);
            globals.filter(hears).for_each(|connection| rooms.joined(connection));
        }
        let sends = |local: &&u32| self.task.sends(self.task.global(self.shard, **local));
        let senders = self.members.iter().filter(sends).count() as u32;
        let may = |local: &&u32| self.task.may_leave(self.task.global(self.shard, **local));
        let leavers = self.members.iter().filter(may).count() as u32;
        self.notice().leavers.store(leavers, Relaxed);
        self.notice().members.store(self.members.len() as u32, Relaxed);
        self.notice().senders.store(senders, Relaxed);
        self.reach(Step::Ready);
    }

    pub(super) fn never_opened(&mut self, local: u32, text: &str) {
        let link = &mut self.links[local as usize];
        self.arena.remove(link.current);
        link.current = NIL;
        link.status = Status::Gone;
        self.failed(&self.at_server(local, text), 1);
        self.place_is_free();
    }

    fn failed(&mut self, text: &str, connections: u64) {
        if connections == 0 {
            return;
        }
        self.tally.failed += connections;
        for _ in 0..connections {
            self.tally.error(text);
        }
        self.cell().failed.add(connections);
        self.notice().failure.get_or_init(|| text.to_owned());
        self.notice().failed.store(self.tally.failed as u32, Relaxed);
    }

    /// The server accepts no more.
    pub(super) fn give_up(&mut self) {
        self.skip_the_rest("not begun: the server had stopped accepting connections");
        self.check_ready();
    }

    /// What was not begun has failed.
    fn skip_the_rest(&mut self, text: &str) {
        let Some(dialing) = &mut self.dialing else { return };
        let left = self.links.len() as u32 - dialing.next;
        dialing.next += left;
        self.failed(text, left.into());
    }

    /// A connection is gone, whatever it was doing.
    pub(super) fn ended(&mut self, local: u32, end: &End, now: Nanos) {
        let opening = self.links[local as usize].status == Status::Opening;
        let aside = !opening && self.step_aside(local);
        self.end(local, end, now);
        self.step_back(aside);
    }

    fn end(&mut self, local: u32, end: &End, now: Nanos) {
        match self.links[local as usize].status {
            Status::Opening => {
                let entry = self.arena.get(self.links[local as usize].current);
                let text = match entry.last {
                    0 => opening_cause(end, entry.sent != 0),
                    _ => format!("before the join was answered: {}", cause(end)).into(),
                };
                if self.absence(local).is_some() {
                    return self.not_back(local, &text, now);
                }
                return self.never_opened(local, &text);
            }
            // Nothing is measured any more: whoever ends it now ends it in due time.
            // But a slow consumer may hear only now what the server said long ago.
            Status::Open | Status::Leaving
                if self.step >= Step::Closing && !self.heard_at_last(local, end) =>
            {
                self.tally.close_error(&closing_cause(end, false));
            }
            Status::Open | Status::Leaving => {
                self.tally.closed_early += 1;
                self.closed_early_at_server(local);
                let text = format!("closed early: {}", cause(end));
                self.tally.error(&self.at_server(local, &text));
                self.cell().failed.add(1);
                self.forget(local, now);
                if self.lost(local, now) {
                    return;
                }
            }
            Status::Closing => {
                let begun = self.arena.remove(self.links[local as usize].current).intended;
                self.links[local as usize].current = NIL;
                if matches!(end, End::ClosedByUs(_)) {
                    // The event's time is its batch's; here a batch is as long as what is timed.
                    let took = self.task.nanos(Instant::now()).saturating_sub(begun);
                    self.recorder.record(Kind::Close, Phase::FIRST, took);
                } else {
                    self.tally.close_error(&closing_cause(end, true));
                }
                if self.step < Step::Closing {
                    return self.return_at(local, now);
                }
                self.closing -= 1;
            }
            Status::Planned | Status::Away | Status::Gone => {}
        }
        let link = &mut self.links[local as usize];
        (link.status, link.id) = (Status::Gone, None);
        self.check_closed();
    }

    pub(super) fn close<N: Net>(&mut self, peers: &mut Peers<'_, N, Local>, now: Nanos) {
        if self.step != Step::Drained {
            while !self.give_up_schedule(now) {}
            self.settle(now);
        }
        self.end_life(peers);
        self.let_read(now);
        self.reach(Step::Closing);
        self.check_closed();
    }

    /// At once while places are free and connections are left.
    pub(super) fn next_close(&self) -> Nanos {
        if self.closing >= closes_of(self.task.shards) {
            Nanos::MAX
        } else if self.close_next < self.links.len() {
            0
        } else {
            self.slow.as_ref().map_or(Nanos::MAX, |slow| slow.next_close())
        }
    }

    /// The next connection to close, if it is there.
    fn next_to_close(&mut self, now: Nanos) -> Option<usize> {
        while self.close_next < self.links.len() {
            let local = self.close_next;
            self.close_next += 1;
            if !self.is_slow(local as u32) {
                return Some(local);
            }
            self.slow.as_mut()?.last.push(local as u32);
        }
        self.slow.as_mut()?.take_last(now)
    }

    /// Close frames up to the number that may be in flight.
    pub(super) fn close_some<N: Net>(&mut self, peers: &mut Peers<'_, N, Local>, now: Nanos) {
        while self.closing < closes_of(self.task.shards)
            && let Some(local) = self.next_to_close(now)
        {
            let link = &mut self.links[local];
            let (true, Some(id)) = (link.is_open(), link.id) else { continue };
            let Some(mut peer) = peers.get(id) else { continue };
            let begun = self.task.nanos(Instant::now());
            link.status = Status::Closing;
            link.current = self.arena.insert(Entry::begun(begun));
            self.closing += 1;
            peer.tx.close(CloseCode::NORMAL, "");
        }
        self.check_closed();
    }

    fn check_closed(&mut self) {
        let all_asked = self.close_next == self.links.len()
            && self.slow.as_ref().is_none_or(|slow| slow.last.is_empty());
        if self.step == Step::Closing && all_asked && self.closing == 0 {
            self.reach(Step::Closed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closes_in_flight_are_bounded_by_shard_and_in_all() {
        for (shards, closes) in [(1, 64), (6, 64), (8, 64), (16, 32), (56, 9), (1024, 1)] {
            assert_eq!(closes_of(shards), closes, "{shards} shards");
        }
    }
}
