//! A [`Net`] whose streams may be awkward on purpose: they send in tiny segments, or read at a
//! trickle. Test clients are made of it; no server runs on it, so none pays for it.
//!
//! It moves no byte that the network under it would not move, only later: a write takes less than
//! it was offered, a read finds nothing yet, and once the wait is over the stream is reported ready
//! again. To a shard that is a network like any other.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::net::{Accepted, Net, Ready, Received, Sent, Source};
use super::slab::ConnId;
use crate::conn::ConnectFault;

/// Reads of a trickle in a second, so that it comes evenly.
const SIPS: u64 = 10;

/// Bytes that the kernel keeps for a reader at a trickle: about the window that it offers at first.
/// With less than half of that a sender waits for its timer each time (RFC 9293 3.8.6.2.1), however
/// fast the reader becomes.
const NARROW: usize = 64 << 10;
/// And once it reads as fast as they come.
const WIDE: usize = 1 << 20;

/// How a stream is awkward.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// How what it sends is cut.
    pub segments: Option<Segments>,
    /// How slowly it reads.
    pub trickle: Option<Rc<Trickle>>,
}

/// What is sent goes out in segments of random length, wherever that cuts a frame or a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segments {
    /// Most bytes of one; each length from 1 on is equally likely.
    pub most: usize,
    /// From one to the next.
    pub gap: Duration,
}

/// A reader's pace, shared by as many streams as keep it, and what they took.
#[derive(Debug)]
pub struct Trickle {
    /// Bytes a second of each stream; 0 is as fast as they come.
    pub per_second: Cell<u64>,
    /// Bytes read by all of them.
    pub taken: Cell<u64>,
}

/// The network: another one, its streams shaped.
#[derive(Debug)]
pub struct Shaped<N> {
    net: N,
    /// When a stream is ready again, and whether for a write.
    waits: BinaryHeap<Reverse<(Instant, u64, bool)>>,
    random: StdRng,
}

/// A stream of the network under it.
#[derive(Debug)]
pub struct Stream<S> {
    under: S,
    shaping: Option<Box<Shaping>>,
}

#[derive(Debug)]
struct Shaping {
    id: ConnId,
    shape: Shape,
    write: Pause,
    read: Pause,
    /// The kernel keeps few bytes for it.
    narrow: bool,
}

/// Until when one direction of a stream waits.
#[derive(Clone, Copy, Default, Debug)]
struct Pause {
    until: Option<Instant>,
    /// The wait that is in the queue, or was.
    queued: Option<Instant>,
}

impl Pause {
    /// Whether it is not over, and then, once for each pause, until when.
    fn holds(&mut self, now: Instant) -> (bool, Option<Instant>) {
        let until = self.until.filter(|until| now < *until);
        let fresh = until.filter(|_| self.queued != until);
        self.queued = until.or(self.queued);
        (until.is_some(), fresh)
    }
}

impl<N: Net> Shaped<N> {
    /// `seed` fixes the lengths of segments.
    pub fn new(net: N, seed: u64) -> Self {
        Self { net, waits: BinaryHeap::new(), random: StdRng::seed_from_u64(seed) }
    }

    /// Queues the end of a pause that was met; true if it holds.
    fn paused(waits: &mut Waits, pause: &mut Pause, id: ConnId, write: bool, now: Instant) -> bool {
        let (holds, fresh) = pause.holds(now);
        waits.extend(fresh.map(|until| Reverse((until, id.to_bits(), write))));
        holds
    }
}

type Waits = BinaryHeap<Reverse<(Instant, u64, bool)>>;

impl<N: Net> Net for Shaped<N> {
    type Stream = Stream<N::Stream>;

    fn now(&self) -> Instant {
        self.net.now()
    }

    fn poll(&mut self, ready: &mut Vec<Ready>, until: Option<Instant>) -> io::Result<()> {
        let wait = self.waits.peek().map(|Reverse((at, ..))| *at);
        self.net.poll(ready, [wait, until].into_iter().flatten().min())?;
        let now = self.net.now();
        while let Some(Reverse((at, id, write))) = self.waits.peek().copied()
            && at <= now
        {
            self.waits.pop();
            let source = Source::Conn(ConnId::from_bits(id));
            ready.push(Ready { source, readable: !write, writable: write, hangup: false });
        }
        Ok(())
    }

    fn listen(&mut self) -> io::Result<()> {
        self.net.listen()
    }

    fn unlisten(&mut self) {
        self.net.unlisten();
    }

    fn accept(&mut self) -> Accepted<Self::Stream> {
        match self.net.accept() {
            Accepted::One(under, from) => Accepted::One(Stream { under, shaping: None }, from),
            Accepted::Empty => Accepted::Empty,
            Accepted::Full => Accepted::Full,
            Accepted::Failed => Accepted::Failed,
        }
    }

    fn connect(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
    ) -> Result<Self::Stream, ConnectFault> {
        self.net.connect(to, from).map(|under| Stream { under, shaping: None })
    }

    fn established(&mut self, stream: &mut Self::Stream) -> Result<(), ConnectFault> {
        self.net.established(&mut stream.under)
    }

    fn register(
        &mut self,
        stream: &mut Self::Stream,
        id: ConnId,
        writable: bool,
    ) -> io::Result<()> {
        self.net.register(&mut stream.under, id, writable)
    }

    fn watch_writable(&mut self, stream: &mut Self::Stream, id: ConnId) -> io::Result<()> {
        self.net.watch_writable(&mut stream.under, id)
    }

    fn read(
        &mut self,
        stream: &mut Self::Stream,
        direct: &mut [u8],
        shared: &mut [u8],
    ) -> Received {
        let Some((shaping, trickle)) = stream.shaping.as_mut().and_then(|shaping| {
            let trickle = shaping.shape.trickle.clone()?;
            Some((shaping, trickle))
        }) else {
            return self.net.read(&mut stream.under, direct, shared);
        };
        let (rate, now) = (trickle.per_second.get(), self.net.now());
        let most = if rate == 0 { usize::MAX } else { (rate / SIPS).max(1) as usize };
        if rate > 0 && Self::paused(&mut self.waits, &mut shaping.read, shaping.id, false, now) {
            return Received::Blocked;
        }
        if rate == 0 && std::mem::take(&mut shaping.narrow) {
            self.net.narrow(&mut stream.under, WIDE);
        }
        let direct_most = direct.len().min(most);
        let shared_most = shared.len().min(most - direct_most);
        let (direct, shared) = (&mut direct[..direct_most], &mut shared[..shared_most]);
        let outcome = self.net.read(&mut stream.under, direct, shared);
        if let Received::Bytes { n, .. } = outcome {
            trickle.taken.set(trickle.taken.get() + n as u64);
            let pause = Duration::from_nanos(n as u64 * 1_000_000_000 / rate.max(1));
            shaping.read.until = (rate > 0).then(|| now + pause);
        }
        outcome
    }

    fn write(&mut self, stream: &mut Self::Stream, parts: &[&[u8]]) -> Sent {
        let Some((shaping, segments)) = stream.shaping.as_mut().and_then(|shaping| {
            let segments = shaping.shape.segments?;
            Some((shaping, segments))
        }) else {
            return self.net.write(&mut stream.under, parts);
        };
        let now = self.net.now();
        if Self::paused(&mut self.waits, &mut shaping.write, shaping.id, true, now) {
            return Sent::Blocked;
        }
        let Some(first) = parts.iter().find(|part| !part.is_empty()) else {
            return Sent::Bytes(0);
        };
        let draw = u128::from(self.random.next_u64()) * segments.most.max(1) as u128;
        let len = first.len().min((draw >> 64) as usize + 1);
        let outcome = self.net.write(&mut stream.under, &[&first[..len]]);
        if let Sent::Bytes(n) = outcome {
            shaping.write.until = Some(now + segments.gap);
            let more = n < parts.iter().map(|part| part.len()).sum();
            if more && !Self::paused(&mut self.waits, &mut shaping.write, shaping.id, true, now) {
                // No gap is wanted: in the next turn.
                self.waits.push(Reverse((now, shaping.id.to_bits(), true)));
            }
        }
        outcome
    }

    fn finish(&mut self, stream: &mut Self::Stream) {
        self.net.finish(&mut stream.under);
    }

    fn reset(&mut self, stream: &mut Self::Stream) {
        self.net.reset(&mut stream.under);
    }

    fn narrow(&mut self, stream: &mut Self::Stream, bytes: usize) {
        self.net.narrow(&mut stream.under, bytes);
    }

    fn shape(&mut self, stream: &mut Self::Stream, id: ConnId, shape: &Shape) {
        let narrow = shape.trickle.is_some();
        if narrow {
            self.net.narrow(&mut stream.under, NARROW);
        }
        let (write, read) = (Pause::default(), Pause::default());
        stream.shaping = Some(Box::new(Shaping { id, shape: shape.clone(), write, read, narrow }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network that takes all and has all, with a clock that goes where it is told to.
    struct Under {
        now: Instant,
        sent: Vec<Vec<u8>>,
        left: usize,
    }

    impl Net for Under {
        type Stream = ();

        fn now(&self) -> Instant {
            self.now
        }

        fn poll(&mut self, _: &mut Vec<Ready>, until: Option<Instant>) -> io::Result<()> {
            self.now = until.unwrap_or(self.now).max(self.now);
            Ok(())
        }

        fn listen(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn unlisten(&mut self) {}

        fn accept(&mut self) -> Accepted<()> {
            Accepted::Empty
        }

        fn connect(&mut self, _: SocketAddr, _: Option<IpAddr>) -> Result<(), ConnectFault> {
            Ok(())
        }

        fn established(&mut self, (): &mut ()) -> Result<(), ConnectFault> {
            Ok(())
        }

        fn register(&mut self, (): &mut (), _: ConnId, _: bool) -> io::Result<()> {
            Ok(())
        }

        fn watch_writable(&mut self, (): &mut (), _: ConnId) -> io::Result<()> {
            Ok(())
        }

        fn read(&mut self, (): &mut (), direct: &mut [u8], shared: &mut [u8]) -> Received {
            let room = direct.len() + shared.len();
            let n = room.min(self.left);
            self.left -= n;
            if n == 0 { Received::Blocked } else { Received::Bytes { n, drained: n < room } }
        }

        fn write(&mut self, (): &mut (), parts: &[&[u8]]) -> Sent {
            self.sent.push(parts.concat());
            Sent::Bytes(parts.concat().len())
        }

        fn finish(&mut self, (): &mut ()) {}
    }

    const ID: ConnId = ConnId { index: 7, generation: 3 };

    fn shaped(seed: u64, shape: &Shape) -> (Shaped<Under>, Stream<()>) {
        let under = Under { now: Instant::now(), sent: Vec::new(), left: 10_000 };
        let mut net = Shaped::new(under, seed);
        let mut stream = net.connect("127.0.0.1:1".parse().unwrap(), None).unwrap();
        net.shape(&mut stream, ID, shape);
        (net, stream)
    }

    /// Sends as a shard does: whatever was not taken is offered again at each report.
    fn send(net: &mut Shaped<Under>, stream: &mut Stream<()>, mut bytes: &[u8]) -> Vec<Duration> {
        let (began, mut times) = (net.now(), Vec::new());
        while !bytes.is_empty() {
            match net.write(stream, &[&[], bytes]) {
                Sent::Bytes(n) => {
                    times.push(net.now() - began);
                    bytes = &bytes[n..];
                }
                Sent::Blocked => {}
                Sent::Failed(why) => panic!("{why}"),
            }
            let mut ready = Vec::new();
            if !bytes.is_empty() {
                net.poll(&mut ready, None).unwrap();
                let [ready] = ready[..] else { panic!("one report each: {ready:?}") };
                assert_eq!((ready.source, ready.writable), (Source::Conn(ID), true));
            }
        }
        times
    }

    #[test]
    fn segments_are_cut_anywhere_and_keep_their_gap() {
        let gap = Duration::from_millis(5);
        let shape = Shape { segments: Some(Segments { most: 4, gap }), trickle: None };
        let (mut net, mut stream) = shaped(1, &shape);
        let bytes: Vec<u8> = (0..=255).collect();
        let times = send(&mut net, &mut stream, &bytes);
        let sent = std::mem::take(&mut net.net.sent);
        assert_eq!(sent.concat(), bytes);
        let mut lengths = sent.iter().map(Vec::len).collect::<Vec<_>>();
        let expected: Vec<Duration> = (0..sent.len() as u32).map(|k| gap * k).collect();
        assert_eq!(times, expected);
        // The next bytes keep the gap to the last ones.
        assert_eq!(send(&mut net, &mut stream, b"x"), [gap]);
        lengths.sort_unstable();
        lengths.dedup();
        assert_eq!(lengths, [1, 2, 3, 4]);
        let again = |seed| {
            let (mut net, mut stream) = shaped(seed, &shape);
            send(&mut net, &mut stream, &bytes);
            net.net.sent
        };
        assert_eq!(again(1), sent);
        assert_ne!(again(2), sent);
    }

    #[test]
    fn without_a_gap_each_segment_has_a_turn_of_its_own() {
        let segments = Some(Segments { most: 1, gap: Duration::ZERO });
        let (mut net, mut stream) = shaped(1, &Shape { segments, trickle: None });
        let times = send(&mut net, &mut stream, b"abc");
        assert_eq!((times, net.net.sent.len()), (vec![Duration::ZERO; 3], 3));
    }

    #[test]
    fn a_trickle_reads_so_much_a_second_and_no_more() {
        let trickle = Rc::new(Trickle { per_second: Cell::new(1000), taken: Cell::new(0) });
        let shape = Shape { segments: None, trickle: Some(Rc::clone(&trickle)) };
        let (mut net, mut stream) = shaped(1, &shape);
        let mut room = [0; 4096];
        let began = net.now();
        while net.now() - began < Duration::from_secs(2) {
            let first = net.read(&mut stream, &mut [], &mut room);
            assert_eq!(first, Received::Bytes { n: 100, drained: false });
            assert_eq!(net.read(&mut stream, &mut [], &mut room), Received::Blocked);
            assert_eq!(net.read(&mut stream, &mut [], &mut room), Received::Blocked);
            let mut ready = Vec::new();
            net.poll(&mut ready, None).unwrap();
            let [ready] = ready[..] else { panic!("one report each: {ready:?}") };
            assert!(ready.readable && !ready.writable);
        }
        assert_eq!(trickle.taken.get(), 2000);
        // Lifted, it takes all there is.
        trickle.per_second.set(0);
        let rest = net.read(&mut stream, &mut [], &mut room);
        assert_eq!(rest, Received::Bytes { n: 4096, drained: false });
        assert_eq!(trickle.taken.get(), 6096);
    }

    #[test]
    fn a_stream_without_a_shape_is_as_it_was() {
        let (mut net, mut stream) = shaped(1, &Shape::default());
        assert_eq!(net.write(&mut stream, &[b"ab", b"c"]), Sent::Bytes(3));
        let mut room = [0; 64];
        let read = net.read(&mut stream, &mut [], &mut room);
        assert_eq!(read, Received::Bytes { n: 64, drained: false });
        let mut ready = Vec::new();
        net.poll(&mut ready, None).unwrap();
        assert!(ready.is_empty());
    }
}
