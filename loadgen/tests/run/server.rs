//! A server for tests, honest or with one fault, on the library's own shards.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use plimsoll::conn::{End, Kind, Message, Side};
use plimsoll::limits;
use plimsoll::shard::{
    App, Command, ConnId, Counters, Cx, Group, Launch, Limits, Net, Peer, Peers, SocketOptions,
    Spec, Welcome, default_settings,
};
use plimsoll::wire::close::CloseCode;
use plimsoll::wire::handshake::{Refusal, Request};

/// What the server does with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manner {
    /// Sends it back.
    Echo,
    /// Sends each tenth back twice.
    Twice,
    /// Flips a bit in each tenth.
    Flip,
    /// Keeps each tenth until the next came, and sends it after that.
    Swap,
    /// Swallows each tenth.
    Swallow,
    /// Sends everything back, but sleeps once, this long, at the 200th.
    Stall(Duration),
    /// The same, but at the first.
    StallAtOnce(Duration),
    /// Sends everything back, but sleeps now and then, and keeps a record of how long.
    Periodic { lasts: Duration, every: Duration },
    /// Closes the connection at the first message.
    Leave,
    /// Closes the connection at each of the first so many messages.
    LeaveFirst(u32),
    /// The same at the first `leave`; and after so many upgrade requests refuses so many.
    Shy { leave: u32, after: u32, refusals: u32 },
    /// Sends a greeting first.
    Greet,
    /// Reads nothing after the first message.
    Deaf,
    /// Answers this many messages a second, one after the other, and each so much later.
    Cap(u32, Duration),
    /// Sends everything back as a part of something longer.
    Wrap,
    /// Answers the first of these texts with the second, and sends everything else back.
    Reply(&'static str, &'static str),
}

/// From the first message to the first sleep.
const SETTLED: Duration = Duration::from_millis(100);

/// A running server. Dropping it stops it.
pub(crate) struct Server {
    group: Option<Group<Echo>>,
    stalls: Arc<Mutex<Vec<Duration>>>,
    pub(crate) address: SocketAddr,
}

pub(crate) struct Echo {
    manner: Manner,
    /// When a capped server is done with the message before, or one that sleeps does so again.
    free: Instant,
    stalls: Arc<Mutex<Vec<Duration>>>,
    /// What a capped server has yet to send, in the order of the times.
    owed: VecDeque<(Instant, ConnId, Kind, Vec<u8>)>,
    seen: u32,
    asked: u32,
    kept: Option<(ConnId, Vec<u8>)>,
}

impl Server {
    pub(crate) fn start(manner: Manner) -> Self {
        Self::with_room(manner, 10_000)
    }

    /// For so many connections.
    pub(crate) fn with_room(manner: Manner, connections: usize) -> Self {
        let launch = Launch::new(1);
        let spec = Spec {
            name: "test-server".to_owned(),
            shards: 1,
            pin: false,
            settings: default_settings(Side::Server),
            limits: Limits {
                group_connections: connections,
                shard_connections: 10_000,
                buffered: 1 << 30,
                addresses: None,
                pings: None,
                accepts_per_turn: limits::ACCEPTS_PER_TURN,
                mails_per_turn: 16,
                read_buffer: limits::READ_BUFFER,
            },
            sockets: SocketOptions {
                listen: Some("127.0.0.1:0".parse().unwrap()),
                backlog: limits::BACKLOG,
                congestion: None,
                precise: false,
            },
            mailbox: 16,
            seed: None,
        };
        let stalls = Arc::default();
        let record = Arc::clone(&stalls);
        let make = move |_| Echo {
            manner,
            stalls: Arc::clone(&record),
            free: Instant::now(),
            owed: VecDeque::new(),
            seen: 0,
            asked: 0,
            kept: None,
        };
        let group = Group::spawn(&spec, &launch, make).unwrap();
        let address = group.ready().unwrap().unwrap();
        Self { group: Some(group), address, stalls }
    }
}

impl Server {
    pub(crate) fn counters(&self) -> Arc<[Counters]> {
        Arc::clone(self.group.as_ref().unwrap().counters())
    }

    /// How long it really slept each time.
    pub(crate) fn stalls(&self) -> Vec<Duration> {
        self.stalls.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            group.post().command(Command::Stop);
            group.join().unwrap();
        }
    }
}

impl App for Echo {
    type State = ();
    type Mail = ();
    type Outcome = ();
    const PRECISE: bool = false;

    fn accept(&mut self, _: &mut Cx<'_, ()>, _: &Request<'_>) -> Result<Welcome<()>, Refusal> {
        self.asked += 1;
        match self.manner {
            Manner::Shy { after, refusals, .. }
                if self.asked > after && self.asked - after <= refusals =>
            {
                Err(Refusal::Overloaded)
            }
            _ => Ok(Welcome { state: (), protocol: None }),
        }
    }

    fn open(&mut self, _: &mut Cx<'_, ()>, peer: &mut Peer<'_, ()>) {
        if self.manner == Manner::Greet {
            peer.tx.send(Kind::Text, b"welcome");
        }
    }

    fn message(&mut self, _: &mut Cx<'_, ()>, peer: &mut Peer<'_, ()>, message: &mut Message<'_>) {
        self.seen += 1;
        let tenth = self.seen.is_multiple_of(10);
        match self.manner {
            Manner::Swallow if tenth => return,
            Manner::Swap if tenth => {
                self.kept = Some((peer.id, message.payload().to_vec()));
                return;
            }
            Manner::Wrap => {
                let whole = [b"{\"answer\":", message.payload(), b"}"].concat();
                peer.tx.send(message.kind(), &whole);
                return;
            }
            Manner::Reply(body, reply) if message.payload() == body.as_bytes() => {
                peer.tx.send(message.kind(), reply.as_bytes());
                return;
            }
            Manner::Deaf => peer.pause_reading(),
            Manner::Leave => return peer.tx.close(CloseCode(1013), "later"),
            Manner::LeaveFirst(leave) | Manner::Shy { leave, .. } if self.seen <= leave => {
                return peer.tx.close(CloseCode(1013), "later");
            }
            Manner::Flip if tenth => {
                let mut payload = message.payload().to_vec();
                *payload.last_mut().unwrap() ^= 1;
                peer.tx.send(message.kind(), &payload);
                return;
            }
            Manner::Twice if tenth => {
                peer.tx.send(message.kind(), message.payload());
            }
            Manner::StallAtOnce(time) if self.seen == 1 => std::thread::sleep(time),
            Manner::Cap(rate, delay) => {
                // By a schedule that the thread's own lateness does not move.
                self.free = self.free.max(Instant::now()) + Duration::from_secs(1) / rate;
                let payload = message.payload().to_vec();
                return self.owed.push_back((self.free + delay, peer.id, message.kind(), payload));
            }
            Manner::Periodic { .. } if self.seen == 1 => self.free = Instant::now() + SETTLED,
            Manner::Periodic { lasts, every } if Instant::now() >= self.free => {
                let begun = Instant::now();
                std::thread::sleep(lasts);
                self.stalls.lock().unwrap().push(begun.elapsed());
                self.free = begun + every;
            }
            Manner::Stall(time) if self.seen == 200 => std::thread::sleep(time),
            _ => {}
        }
        let kind = message.kind();
        peer.tx.echo(message);
        if let Some((_, payload)) = self.kept.take_if(|kept| kept.0 == peer.id) {
            peer.tx.send(kind, &payload);
        }
    }

    fn closed(&mut self, _: &mut Cx<'_, ()>, _: ConnId, (): (), _: End) {}

    fn mail<N: Net>(&mut self, _: &mut Cx<'_, ()>, _: &mut Peers<'_, N, ()>, (): ()) {}

    fn next_deadline(&self) -> Option<Instant> {
        self.owed.front().map(|owed| owed.0)
    }

    fn timer<N: Net>(&mut self, cx: &mut Cx<'_, ()>, peers: &mut Peers<'_, N, ()>) {
        while let Some((_, to, kind, payload)) = self.owed.pop_front_if(|owed| owed.0 <= cx.now()) {
            // Who is gone gets nothing.
            if let Some(mut peer) = peers.get(to) {
                peer.tx.send(kind, &payload);
            }
        }
    }

    fn finish(self) {}
}
