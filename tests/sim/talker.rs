//! The client's App of the simulation: dials, talks, checks every answer, closes.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use plimsoll::conn::{End, Kind, Message, Upgrade};
use plimsoll::shard::{App, ConnId, Cx, Dial, Net, Peer, Peers, Welcome};
use plimsoll::wire::close::CloseCode;
use plimsoll::wire::handshake::{Refusal, Request};

/// What one client shard is to do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) path: &'static str,
    pub(crate) connections: u32,
    /// Messages of each connection.
    pub(crate) messages: u32,
    /// Messages under way at once, per connection.
    pub(crate) window: u32,
    /// Payload sizes, taken in turn.
    pub(crate) sizes: Vec<usize>,
    /// Between two dials.
    pub(crate) gap: Duration,
    /// Whether everybody hears everybody, or each its own.
    pub(crate) broadcast: bool,
    /// Leaves its connections open when all is said.
    pub(crate) stays: bool,
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) opened: u32,
    pub(crate) heard: u64,
    pub(crate) finished: u32,
    pub(crate) ends: Vec<String>,
    pub(crate) slowest: Duration,
}

/// One connection: who it is, how much it sent, and what it heard of each.
#[derive(Debug)]
pub(crate) struct State {
    number: u32,
    sent: u32,
    heard: Vec<u32>,
    sent_at: Vec<Instant>,
}

pub(crate) struct Talker {
    plan: Plan,
    report: Rc<RefCell<Report>>,
    dialled: u32,
    next_dial: Option<Instant>,
    waiting: Vec<ConnId>,
}

impl Talker {
    pub(crate) fn new(plan: Plan, start: Instant) -> (Self, Rc<RefCell<Report>>) {
        let report = Rc::new(RefCell::new(Report::default()));
        let shared = Rc::clone(&report);
        (Self { plan, report, dialled: 0, next_dial: Some(start), waiting: Vec::new() }, shared)
    }

    fn payload(&self, number: u32, sequence: u32) -> Vec<u8> {
        let size = self.plan.sizes[(number + sequence) as usize % self.plan.sizes.len()];
        let mut payload = [number.to_be_bytes(), sequence.to_be_bytes()].concat();
        payload.resize(8 + size, (number * 31 + sequence) as u8 & 0x7f);
        payload
    }

    fn say(&self, now: Instant, peer: &mut Peer<'_, State>) {
        let state = &mut *peer.state;
        let own = if self.plan.broadcast { state.number as usize } else { 0 };
        while state.sent < self.plan.messages && state.sent - state.heard[own] < self.plan.window {
            let payload = self.payload(state.number, state.sent);
            assert!(peer.tx.send(Kind::Binary, &payload), "it is open");
            state.sent_at.push(now);
            state.sent += 1;
        }
    }

    fn is_done(&self, state: &State) -> bool {
        state.heard.iter().all(|heard| *heard == self.plan.messages)
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().unwrap())
}

impl App for Talker {
    type State = State;
    type Mail = ();
    type Outcome = ();
    const PRECISE: bool = true;

    fn accept(&mut self, _: &mut Cx<'_, ()>, _: &Request<'_>) -> Result<Welcome<State>, Refusal> {
        unreachable!("a client accepts nobody")
    }

    fn open(&mut self, cx: &mut Cx<'_, ()>, peer: &mut Peer<'_, State>) {
        self.report.borrow_mut().opened += 1;
        if self.plan.broadcast {
            // Everybody speaks once everybody hears.
            self.waiting.push(peer.id);
        } else {
            self.say(cx.now(), peer);
        }
    }

    fn message(
        &mut self,
        cx: &mut Cx<'_, ()>,
        peer: &mut Peer<'_, State>,
        message: &mut Message<'_>,
    ) {
        let payload = message.payload();
        let (from, sequence) = (number(&payload[..4]), number(&payload[4..8]));
        assert_eq!(message.kind(), Kind::Binary);
        let sent = self.payload(from, sequence);
        let differs = payload.iter().zip(&sent).position(|(here, sent)| here != sent);
        assert_eq!((payload.len(), differs), (sent.len(), None), "every byte as it was sent");
        let place = if self.plan.broadcast { from as usize } else { 0 };
        assert!(self.plan.broadcast || from == peer.state.number, "another's message");
        assert_eq!(sequence, peer.state.heard[place], "in order, none lost, none doubled");
        peer.state.heard[place] += 1;
        let mut report = self.report.borrow_mut();
        report.heard += 1;
        if from == peer.state.number {
            let took = cx.now() - peer.state.sent_at[sequence as usize];
            report.slowest = report.slowest.max(took);
        }
        let done = self.is_done(peer.state);
        if done {
            report.finished += 1;
        }
        drop(report);
        self.say(cx.now(), peer);
        if done && !self.plan.stays {
            peer.tx.close(CloseCode::NORMAL, "all is said");
        }
    }

    fn closed(&mut self, _: &mut Cx<'_, ()>, _: ConnId, _: State, end: End) {
        self.report.borrow_mut().ends.push(format!("{end:?}"));
    }

    fn mail<N: Net>(&mut self, _: &mut Cx<'_, ()>, _: &mut Peers<'_, N, State>, (): ()) {}

    fn next_deadline(&self) -> Option<Instant> {
        self.next_dial
    }

    fn timer<N: Net>(&mut self, cx: &mut Cx<'_, ()>, peers: &mut Peers<'_, N, State>) {
        let host = "sim".into();
        let target = self.plan.path.into();
        let upgrade = Rc::new(Upgrade { host, target, ..Upgrade::default() });
        let to = SocketAddr::from(([127, 0, 0, 1], 1));
        let voices = if self.plan.broadcast { self.plan.connections } else { 1 };
        let state = State {
            number: self.dialled,
            sent: 0,
            heard: vec![0; voices as usize],
            sent_at: Vec::new(),
        };
        peers.connect(Dial { to, from: None, upgrade }, state).unwrap();
        self.dialled += 1;
        let more = self.dialled < self.plan.connections;
        self.next_dial = more.then(|| cx.now() + self.plan.gap);
    }

    fn turn<N: Net>(&mut self, cx: &mut Cx<'_, ()>, peers: &mut Peers<'_, N, State>) -> bool {
        if self.waiting.len() == self.plan.connections as usize {
            for id in std::mem::take(&mut self.waiting) {
                if let Some(mut peer) = peers.get(id) {
                    self.say(cx.now(), &mut peer);
                }
            }
        }
        false
    }

    fn finish(self) {}
}
