//! Two machines, a server's and a client's, over links with delays, little room and virtual time.
//!
//! Every run follows from its seed, and a run that fails prints it.

use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::drive::{Answer, Rig, Seen, settings};
use crate::conn::{End, Kind, Side};
use crate::wire::close::CloseCode;

/// One direction: bytes in flight, each run with the tick at which it arrives.
#[derive(Default)]
struct Link {
    flying: VecDeque<(u32, Vec<u8>)>,
    bytes: usize,
    fin: bool,
}

impl Link {
    fn put(&mut self, at: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            self.flying.push_back((at, bytes.to_vec()));
        }
    }

    /// Up to `most` bytes that have arrived by `now`.
    fn get(&mut self, now: u32, most: usize) -> Vec<u8> {
        let mut got = Vec::new();
        while let Some((at, run)) = self.flying.front_mut()
            && *at <= now
            && got.len() < most
        {
            let n = run.len().min(most - got.len());
            got.extend(run.drain(..n));
            if run.is_empty() {
                self.flying.pop_front();
            }
        }
        self.bytes -= got.len();
        got
    }
}

/// One end: its machine, what it was asked to say, and the link it writes to.
struct Station {
    rig: Rig,
    out: Link,
    handed: usize,
    said: Vec<Seen>,
    to_say: usize,
    closes: Option<CloseCode>,
    end: Option<End>,
}

impl Station {
    fn new(mut rig: Rig, rng: &mut StdRng) -> Self {
        rig.answer = Answer::Listen;
        rig.direct = rng.random();
        let closes = [None, Some(CloseCode::NORMAL), Some(CloseCode(4000))][rng.random_range(0..3)];
        let to_say = rng.random_range(0..12);
        Self { rig, out: Link::default(), handed: 0, said: Vec::new(), to_say, closes, end: None }
    }

    fn now(&self) -> u32 {
        self.rig.gear.now.0
    }

    /// What the socket took goes on its way.
    fn hand_over(&mut self, delay: u32) {
        let at = self.now() + delay;
        let at = self.out.flying.back().map_or(at, |(last, _)| at.max(*last));
        self.out.put(at, &self.rig.sent[self.handed..]);
        self.handed = self.rig.sent.len();
        self.out.fin |= self.rig.shuts > 0 || self.rig.close;
    }

    fn room(&self, rng: &mut StdRng, capacity: usize) -> usize {
        rng.random_range(0..=capacity.saturating_sub(self.out.bytes))
    }

    /// The App's own doings: messages and pings, then perhaps a close.
    fn act(&mut self, rng: &mut StdRng) {
        if !self.rig.conn.is_open() || self.rig.conn.owes() && rng.random_bool(0.9) {
            return;
        }
        let mut sender = self.rig.conn.sender(&mut self.rig.gear);
        if self.to_say == 0 {
            if let Some(code) = self.closes {
                sender.close(code, "done");
            }
            return;
        }
        self.to_say -= 1;
        let len =
            [rng.random_range(0..200), rng.random_range(0..3000), rng.random_range(0..90_000)]
                [rng.random_range(0..3)];
        let payload = vec![b'a' + (self.to_say as u8) % 26; len];
        if rng.random_bool(0.2) {
            let data = &payload[..len.min(125)];
            assert!(sender.ping(data));
            self.said.push(Seen::Ping(data.to_vec()));
        } else {
            let kind = if rng.random() { Kind::Text } else { Kind::Binary };
            assert!(sender.send(kind, &payload));
            self.said.push(match kind {
                Kind::Text => Seen::Text(payload),
                Kind::Binary => Seen::Binary(payload),
            });
        }
    }
}

/// What was heard, the handshake and pongs left out.
fn heard(station: &Station) -> Vec<&Seen> {
    let own = |seen: &&Seen| !matches!(seen, Seen::Head | Seen::Opened | Seen::Pong(_));
    station.rig.seen.iter().filter(own).collect()
}

/// Runs both to their ends; gives the ticks it took.
fn run(seed: u64) -> u32 {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut both = [
        Station::new(Rig::server(settings(Side::Server)), &mut rng),
        Station::new(Rig::client(settings(Side::Client)), &mut rng),
    ];
    if both.iter().all(|station| station.closes.is_none()) {
        both[rng.random_range(0..2)].closes = Some(CloseCode::GOING_AWAY);
    }
    // Room times delay lets all that is owed through before the close times out.
    let (capacity, delay) = [(3_000, 0), (20_000, 1), (200_000, 3)][rng.random_range(0..3)];
    for _ in 0..200_000 {
        for i in 0..2 {
            let [mine, theirs] = both.get_disjoint_mut([i, 1 - i]).unwrap();
            if mine.end.is_none() {
                turn(mine, theirs, &mut rng, capacity, delay);
            }
        }
        // Slow enough that a link gets its bytes through before any deadline.
        if rng.random_bool(0.001) {
            for station in &mut both {
                station.rig.gear.now.0 += 1;
                station.rig.conn.handle_deadline(&mut station.rig.gear);
            }
        }
        if both.iter().all(|station| station.end.is_some()) {
            break;
        }
    }
    check(&both);
    both[0].now()
}

fn turn(mine: &mut Station, theirs: &mut Station, rng: &mut StdRng, capacity: usize, delay: u32) {
    let most = [7, 300, 40_000][rng.random_range(0..3)];
    let arrived = theirs.out.get(mine.now(), most);
    if rng.random_bool(0.3) {
        mine.act(rng);
        mine.rig.flush(&mut mine.room(rng, capacity));
        mine.hand_over(delay);
    }
    let mut rest = &arrived[..];
    while !rest.is_empty() {
        let n = mine.rig.read(rest);
        rest = &rest[n..];
        mine.rig.flush(&mut mine.room(rng, capacity));
        mine.rig.obey();
        mine.hand_over(delay);
    }
    if mine.rig.conn.owes() {
        mine.rig.pay(&mut mine.room(rng, capacity));
    }
    mine.rig.flush(&mut mine.room(rng, capacity));
    if theirs.out.fin && theirs.out.bytes == 0 {
        mine.rig.conn.handle_eof();
    }
    mine.rig.obey();
    mine.hand_over(delay);
    if mine.rig.close {
        let rig = std::mem::replace(&mut mine.rig, Rig::server(settings(Side::Server)));
        let (now, seen) = (rig.gear.now, rig.seen.clone());
        let (end, gear) = rig.end();
        assert_eq!((gear.pool.lent(), gear.shared().get()), (0, 0), "memory is given back");
        mine.rig.gear.now = now;
        mine.rig.seen = seen;
        mine.handed = 0;
        mine.end = Some(end);
    }
}

/// Nothing is lost, nothing is doubled, and both tell the same story of the end.
fn check(both: &[Station; 2]) {
    let [server, client] = both;
    let story = (server.end.as_ref().unwrap(), client.end.as_ref().unwrap());
    assert_eq!(heard(client), server.said.iter().collect::<Vec<_>>(), "to the client: {story:?}");
    assert_eq!(heard(server), client.said.iter().collect::<Vec<_>>(), "to the server: {story:?}");
    match story {
        (End::ClosedByUs(a), End::ClosedByPeer(b)) | (End::ClosedByPeer(a), End::ClosedByUs(b)) => {
            assert_eq!(a, b);
        }
        (End::ClosedByUs(_), End::ClosedByUs(_)) => {}
        other => panic!("two stories of one end: {other:?}"),
    }
}

#[test]
fn two_machines_tell_the_same_story() {
    let mut longest = 0;
    for seed in 0..120 {
        let outcome = std::panic::catch_unwind(|| run(seed));
        longest = longest.max(outcome.unwrap_or_else(|_| panic!("seed {seed} failed")));
    }
    assert!(longest > 0, "time passes");
}
