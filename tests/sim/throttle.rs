//! A server's App that pauses the reads of whoever spoke until another shard has taken a mail about
//! it: what a hub does when a mailbox is full, without its 16 MiB of patience.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use plimsoll::conn::{End, Message};
use plimsoll::shard::{App, ConnId, Cx, Net, Peer, Peers, Welcome};
use plimsoll::wire::handshake::{Refusal, Request};

/// Between two tries of a full mailbox.
const RETRY: Duration = Duration::from_millis(1);

/// Its outcome: mails taken, and those that it still meant to send.
#[derive(Default)]
pub(crate) struct Throttle {
    paused: VecDeque<ConnId>,
    retry: Option<Instant>,
    mails: u64,
}

impl App for Throttle {
    type State = ();
    type Mail = ();
    type Outcome = u64;
    const PRECISE: bool = false;

    fn accept(&mut self, _: &mut Cx<'_, ()>, _: &Request<'_>) -> Result<Welcome<()>, Refusal> {
        Ok(Welcome { state: (), protocol: None })
    }

    fn open(&mut self, _: &mut Cx<'_, ()>, _: &mut Peer<'_, ()>) {}

    fn message(&mut self, _: &mut Cx<'_, ()>, peer: &mut Peer<'_, ()>, message: &mut Message<'_>) {
        peer.tx.echo(message);
        peer.pause_reading();
        self.paused.push_back(peer.id);
    }

    fn closed(&mut self, _: &mut Cx<'_, ()>, _: ConnId, (): (), _: End) {}

    fn mail<N: Net>(&mut self, _: &mut Cx<'_, ()>, _: &mut Peers<'_, N, ()>, (): ()) {
        self.mails += 1;
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.retry
    }

    fn turn<N: Net>(&mut self, cx: &mut Cx<'_, ()>, peers: &mut Peers<'_, N, ()>) -> bool {
        let other = (cx.shard() + 1) % cx.shards();
        while let Some(id) = self.paused.front() {
            if cx.mail(other, ()).is_err() {
                break;
            }
            peers.resume(*id);
            self.paused.pop_front();
        }
        self.retry = (!self.paused.is_empty()).then(|| cx.now() + RETRY);
        false
    }

    fn finish(self) -> u64 {
        self.mails + self.paused.len() as u64
    }
}
