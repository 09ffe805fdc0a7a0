//! A simulated network in virtual time: sockets as byte queues, delays, resets, descriptor tables,
//! and readiness by edges exactly as epoll gives it.
//!
//! An edge comes when bytes or an end arrive, when a write that fell short may go on, and when a
//! source is first watched. What is reported is how things stand when the report is collected; no
//! second report comes without a second edge. Whoever forgets that sleeps for ever here, and a run
//! in which everybody sleeps and nothing flies fails as a stall.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Read;
use std::rc::Rc;
use std::time::{Duration, Instant};

use plimsoll::shard::ConnId;
use plimsoll::shard::net::{Ready, Source};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// How the network of one run is.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// Of one hop, in microseconds: at least, at most.
    pub(crate) delay: (u64, u64),
    /// Bytes that a socket's buffers hold in one direction: at least, at most.
    pub(crate) room: (usize, usize),
    /// Reports collected at once, at most.
    pub(crate) batch: usize,
    /// Descriptors of one shard's connections.
    pub(crate) table: usize,
}

impl Weather {
    /// Any weather, by the seed.
    pub(crate) fn any(rng: &mut StdRng) -> Self {
        let delay = [(0, 0), (1, 50), (100, 20_000)][rng.random_range(0..3)];
        let room = [(50, 400), (1000, 30_000), (100_000, 400_000)][rng.random_range(0..3)];
        Self { delay, room, batch: [1, 3, 1000][rng.random_range(0..3)], table: usize::MAX }
    }
}

/// One end of a connection.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself, as in a real socket")]
struct Half {
    peer: usize,
    /// The shard whose descriptor it is; none for a peer that the test plays.
    shard: Option<usize>,
    watch: Option<(ConnId, bool)>,
    reported: bool,
    connected: bool,
    arrived: VecDeque<u8>,
    fin: bool,
    reset: bool,
    shut: bool,
    closed: bool,
    room: usize,
    unread: usize,
    fell_short: bool,
    last_arrival: Duration,
    endless: Option<Vec<u8>>,
    reads: u32,
}

#[derive(Debug, Default)]
struct Listener {
    open: bool,
    queue: VecDeque<usize>,
    edge: bool,
}

#[derive(Debug)]
enum Event {
    Bytes { to: usize, bytes: Vec<u8> },
    Fin { to: usize },
    Reset { to: usize },
    Room { of: usize, n: usize },
    Connect { client: usize },
}

/// Everything between the shards of one run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) weather: Weather,
    pub(crate) rng: StdRng,
    /// Until when each shard would sleep, if it does.
    pub(crate) sleeping: BTreeMap<usize, Option<Duration>>,
    /// Most reads of one socket between two polls of its shard.
    pub(crate) most_reads: u32,
    base: Instant,
    halves: Vec<Half>,
    listeners: BTreeMap<usize, Listener>,
    edges: BTreeMap<usize, VecDeque<usize>>,
    events: BTreeMap<(Duration, u64), Event>,
    posted: u64,
    descriptors: BTreeMap<usize, usize>,
    readers: BTreeSet<usize>,
}

/// A world that shards and the test share.
pub(crate) type Shared = Rc<RefCell<World>>;

impl World {
    pub(crate) fn new(seed: u64, weather: Option<Weather>) -> Shared {
        let mut rng = StdRng::seed_from_u64(seed);
        let weather = weather.unwrap_or_else(|| Weather::any(&mut rng));
        Rc::new(RefCell::new(Self {
            now: Duration::ZERO,
            weather,
            rng,
            sleeping: BTreeMap::new(),
            most_reads: 0,
            base: Instant::now(),
            halves: Vec::new(),
            listeners: BTreeMap::new(),
            edges: BTreeMap::new(),
            events: BTreeMap::new(),
            posted: 0,
            descriptors: BTreeMap::new(),
            readers: BTreeSet::new(),
        }))
    }

    pub(crate) fn instant(&self) -> Instant {
        self.base + self.now
    }

    /// The virtual time of a moment that a shard named.
    pub(crate) fn since(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.base)
    }

    // Time.

    /// When the next thing that flies arrives.
    pub(crate) fn next_arrival(&self) -> Option<Duration> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    /// Lets everything land that is due.
    pub(crate) fn land(&mut self) {
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= self.now
        {
            match entry.remove() {
                Event::Bytes { to, bytes } => self.bytes_land(to, &bytes),
                Event::Fin { to } => {
                    self.halves[to].fin = true;
                    self.edge(to, false);
                }
                Event::Reset { to } => {
                    self.halves[to].reset = true;
                    self.edge(to, false);
                }
                Event::Room { of, n } => self.room_again(of, n),
                Event::Connect { client } => self.connect_lands(client),
            }
        }
    }

    fn bytes_land(&mut self, to: usize, bytes: &[u8]) {
        if self.halves[to].closed {
            let back = self.halves[to].peer;
            let at = self.arrival(to);
            self.post(at, Event::Reset { to: back });
        } else {
            self.halves[to].arrived.extend(bytes);
            self.edge(to, false);
        }
    }

    fn room_again(&mut self, of: usize, n: usize) {
        let half = &mut self.halves[of];
        half.unread -= n;
        if half.fell_short && half.is_writable() {
            half.fell_short = false;
            self.edge(of, true);
        }
    }

    fn connect_lands(&mut self, client: usize) {
        let open: Vec<usize> =
            self.listeners.iter().filter(|(_, l)| l.open).map(|(shard, _)| *shard).collect();
        if open.is_empty() {
            self.halves[client].reset = true;
            return self.edge(client, false);
        }
        let shard = open[self.rng.random_range(0..open.len())];
        self.halves[client].connected = true;
        self.edge(client, true);
        let server = self.halves[client].peer;
        self.halves[server].connected = true;
        if let Some(listener) = self.listeners.get_mut(&shard) {
            listener.queue.push_back(server);
            listener.edge = true;
        }
    }

    fn post(&mut self, at: Duration, event: Event) {
        self.posted += 1;
        self.events.insert((at, self.posted), event);
    }

    fn delay(&mut self) -> Duration {
        let (least, most) = self.weather.delay;
        Duration::from_micros(self.rng.random_range(least..=most))
    }

    /// When what `from` sends now arrives: never before what it sent earlier.
    fn arrival(&mut self, from: usize) -> Duration {
        let at = (self.now + self.delay()).max(self.halves[from].last_arrival);
        self.halves[from].last_arrival = at;
        at
    }

    // Readiness.

    /// Something happened to a half. A half whose room alone came back is of no interest to whoever
    /// did not ask for it.
    fn edge(&mut self, half: usize, room_only: bool) {
        let Half { watch, reported, shard, .. } = &mut self.halves[half];
        let (Some((_, writable)), Some(shard)) = (*watch, *shard) else { return };
        if (!room_only || writable) && !std::mem::replace(reported, true) {
            self.edges.entry(shard).or_default().push_back(half);
        }
    }

    /// What `epoll_wait` gives one shard now.
    pub(crate) fn collect(&mut self, shard: usize, ready: &mut Vec<Ready>) {
        for half in std::mem::take(&mut self.readers) {
            self.halves[half].reads = 0;
        }
        if let Some(listener) = self.listeners.get_mut(&shard)
            && std::mem::take(&mut listener.edge)
            && !listener.queue.is_empty()
        {
            let source = Source::Listener;
            ready.push(Ready { source, readable: true, writable: false, hangup: false });
        }
        let batch = self.weather.batch;
        while ready.len() < batch
            && let Some(half) = self.edges.get_mut(&shard).and_then(VecDeque::pop_front)
        {
            let half = &mut self.halves[half];
            half.reported = false;
            let Some((id, wants_room)) = half.watch else { continue };
            let hangup = half.fin || half.reset;
            let readable = !half.arrived.is_empty() || hangup;
            let writable = wants_room && half.connected && (half.is_writable() || half.reset);
            if readable || writable {
                ready.push(Ready { source: Source::Conn(id), readable, writable, hangup });
            }
        }
    }

    /// Watches a half, as `EPOLL_CTL_ADD` and `EPOLL_CTL_MOD` do: how it stands now counts as an
    /// edge.
    pub(crate) fn watch(&mut self, half: usize, id: ConnId, writable: bool) {
        self.halves[half].watch = Some((id, writable));
        self.edge(half, false);
    }

    // Listeners.

    pub(crate) fn listen(&mut self, shard: usize) {
        self.listeners.entry(shard).or_default().open = true;
    }

    /// Closes a listener: whoever waits in its queue is reset.
    pub(crate) fn unlisten(&mut self, shard: usize) {
        let Some(listener) = self.listeners.remove(&shard) else { return };
        for server in listener.queue {
            self.reset(server);
            self.halves[server].closed = true;
        }
    }

    /// Connections that wait to be accepted.
    pub(crate) fn waiting(&self) -> usize {
        self.listeners.values().map(|listener| listener.queue.len()).sum()
    }

    /// The next connection; `Err` when the table is full, as `accept` says even of an empty queue.
    pub(crate) fn accept(&mut self, shard: usize) -> Result<Option<usize>, ()> {
        self.take_descriptor(shard)?;
        let next = self.listeners.get_mut(&shard).and_then(|l| l.queue.pop_front());
        match next {
            Some(half) => self.halves[half].shard = Some(shard),
            None => *self.descriptors.entry(shard).or_default() -= 1,
        }
        Ok(next)
    }

    fn take_descriptor(&mut self, shard: usize) -> Result<(), ()> {
        let taken = self.descriptors.entry(shard).or_default();
        if *taken >= self.weather.table {
            return Err(());
        }
        *taken += 1;
        Ok(())
    }

    // Connections.

    /// Begins a connection; `shard` is none for a peer that the test plays.
    pub(crate) fn connect(&mut self, shard: Option<usize>) -> Result<usize, ()> {
        if let Some(shard) = shard {
            self.take_descriptor(shard)?;
        }
        let client = self.halves.len();
        for (own, peer, shard) in [(client, client + 1, shard), (client + 1, client, None)] {
            let (least, most) = self.weather.room;
            let room = self.rng.random_range(least..=most);
            assert_eq!(own, self.halves.len());
            self.halves.push(Half {
                peer,
                shard,
                watch: None,
                reported: false,
                connected: false,
                arrived: VecDeque::new(),
                fin: false,
                reset: false,
                shut: false,
                closed: false,
                room,
                unread: 0,
                fell_short: false,
                last_arrival: Duration::ZERO,
                endless: None,
                reads: 0,
            });
        }
        let at = self.arrival(client);
        self.post(at, Event::Connect { client });
        Ok(client)
    }

    pub(crate) fn is_connected(&self, half: usize) -> bool {
        self.halves[half].connected
    }

    /// Sends what fits; `None` on a connection that is no more.
    pub(crate) fn write(&mut self, half: usize, bytes: &[u8]) -> Option<usize> {
        let Half { room, unread, reset, shut, closed, peer, .. } = self.halves[half];
        assert!(!closed, "a write to a descriptor that was closed");
        if reset || shut {
            return None;
        }
        let n = bytes.len().min(room - unread);
        self.halves[half].fell_short |= n < bytes.len();
        if n > 0 {
            self.halves[half].unread += n;
            let at = self.arrival(half);
            self.post(at, Event::Bytes { to: peer, bytes: bytes[..n].to_vec() });
        }
        Some(n)
    }

    /// Reads into `to` what is here; how many bytes, `Ok(None)` for nothing yet, 0 for the end.
    pub(crate) fn read(&mut self, half: usize, to: &mut [&mut [u8]]) -> Result<Option<usize>, ()> {
        let Half { closed, peer, .. } = self.halves[half];
        assert!(!closed, "a read of a descriptor that was closed");
        if self.halves[half].shard.is_some() {
            self.halves[half].reads += 1;
            self.most_reads = self.most_reads.max(self.halves[half].reads);
            self.readers.insert(half);
        }
        self.refill(half, to.iter().map(|part| part.len()).sum());
        let own = &mut self.halves[half];
        let mut n = 0;
        for part in to.iter_mut() {
            let here = part.len().min(own.arrived.len());
            // A queue in memory never fails.
            own.arrived.read_exact(&mut part[..here]).unwrap();
            n += here;
        }
        if n > 0 {
            if self.halves[half].endless.is_none() {
                let at = self.now + self.delay();
                self.post(at, Event::Room { of: peer, n });
            }
            return Ok(Some(n));
        }
        match self.halves[half] {
            Half { reset: true, .. } => Err(()),
            Half { fin: true, .. } => Ok(Some(0)),
            _ => Ok(None),
        }
    }

    /// A peer without end has always more than anybody can read.
    fn refill(&mut self, half: usize, room: usize) {
        let Half { arrived, endless, .. } = &mut self.halves[half];
        if let Some(pattern) = endless {
            while arrived.len() <= room {
                arrived.extend(pattern.iter());
            }
        }
    }

    /// From now on the peer of `half` sends this over and over, faster than anybody reads.
    pub(crate) fn flood(&mut self, half: usize, pattern: &[u8]) {
        let victim = self.halves[half].peer;
        self.halves[victim].endless = Some(pattern.to_vec());
        self.refill(victim, 0);
        self.edge(victim, false);
    }

    /// Sends FIN.
    pub(crate) fn shut(&mut self, half: usize) {
        if !std::mem::replace(&mut self.halves[half].shut, true) && !self.halves[half].reset {
            let (peer, at) = (self.halves[half].peer, self.arrival(half));
            self.post(at, Event::Fin { to: peer });
        }
    }

    /// Closes the descriptor: FIN, or a reset when something was not read.
    pub(crate) fn close(&mut self, half: usize) {
        let own = &mut self.halves[half];
        assert!(!std::mem::replace(&mut own.closed, true), "a descriptor is closed once");
        own.watch = None;
        let unread = !own.arrived.is_empty();
        if let Some(shard) = own.shard {
            *self.descriptors.entry(shard).or_default() -= 1;
        }
        if unread { self.reset(half) } else { self.shut(half) }
    }

    /// Resets the connection.
    pub(crate) fn reset(&mut self, half: usize) {
        let (peer, at) = (self.halves[half].peer, self.arrival(half));
        self.halves[half].shut = true;
        self.post(at, Event::Reset { to: peer });
    }
}

impl Half {
    /// The kernel says so from a third of the room on.
    fn is_writable(&self) -> bool {
        3 * (self.room - self.unread) >= self.room
    }
}
