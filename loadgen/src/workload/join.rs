//! Connections that speak a rooms protocol: after the 101 they join, and only then are they
//! established. What the server says beside publications is answered or counted.

use std::collections::VecDeque;

use plimsoll::conn::{Kind, Sender};
use plimsoll::shard::net::Net;
use plimsoll::shard::{ConnId, Peers};
use plimsoll::wire::close::CloseCode;

use super::Workload;
use super::centrifugo::{self, Line, PONG, PUBLISH_TAIL, SUBSCRIBE};
use super::link::{Local, Status};
use super::task::Task;
use crate::cli::Protocol;
use crate::cli::plan::Mode;
use crate::measure::{Kind as Latency, Phase};
use crate::schedule::Nanos;
use crate::token::Token;

/// What a shard needs to speak to rooms.
#[derive(Debug)]
pub(super) struct Dialect {
    /// Of each room.
    channels: Vec<Channel>,
    token: Option<Token>,
    /// Who has asked to join and has no answer yet, in the order of the times at which it is given
    /// up. Who has an answer stays until it is the first.
    waiting: VecDeque<(Nanos, u32, ConnId)>,
    /// A publish around its payload.
    publish: Vec<u8>,
}

#[derive(Debug)]
struct Channel {
    name: String,
    publish_middle: Box<[u8]>,
}

impl Dialect {
    /// `None` if rooms are paths.
    pub(super) fn new(task: &Task) -> Option<Self> {
        let (Protocol::Centrifugo(plan), Mode::Broadcast(rooms)) =
            (&task.plan.protocol, task.plan.mode)
        else {
            return None;
        };
        let channel = |room| {
            let name = plan.channel(room, rooms);
            Channel { publish_middle: centrifugo::publish_middle(&name), name }
        };
        Some(Self {
            channels: (0..rooms.rooms.max(1)).map(channel).collect(),
            token: plan.token.clone(),
            waiting: VecDeque::new(),
            publish: Vec::new(),
        })
    }

    fn channel(&self, connection: u32) -> &Channel {
        &self.channels[connection as usize % self.channels.len()]
    }

    /// When the first of those who wait is given up.
    pub(super) fn next(&self) -> Nanos {
        self.waiting.front().map_or(Nanos::MAX, |waiting| waiting.0)
    }

    /// Makes a payload a publish of this connection.
    pub(super) fn wrap(&mut self, connection: u32, sequence: u32, payload: &mut Vec<u8>) {
        let Self { channels, publish, .. } = self;
        let channel = &channels[connection as usize % channels.len()];
        publish.clear();
        centrifugo::publish_head(sequence, &channel.publish_middle, publish);
        publish.extend_from_slice(payload);
        publish.extend_from_slice(PUBLISH_TAIL);
        std::mem::swap(publish, payload);
    }
}

impl Workload {
    /// The 101 was checked at `now`: asks to join. False if there is nothing to join.
    pub(super) fn join(&mut self, local: u32, id: ConnId, tx: &mut Sender<'_>, now: Nanos) -> bool {
        let Some(dialect) = &mut self.dialect else { return false };
        let connection = self.task.global(self.shard, local);
        let token = dialect.token.as_ref().map(|token| token.of(connection));
        let name = &dialect.channel(connection).name;
        tx.send(Kind::Text, centrifugo::join(token.as_deref(), name).as_bytes());
        let patience = self.task.plan.connect_timeout.as_nanos() as u64;
        dialect.waiting.push_back((now + patience, local, id));
        self.arena.get_mut(self.links[local as usize].current).last = now;
        true
    }

    /// Gives up those who have waited too long for the answer.
    pub(super) fn give_up_joining<N: Net>(&mut self, peers: &mut Peers<'_, N, Local>, now: Nanos) {
        while let Some(dialect) = &mut self.dialect
            && let Some(&(until, local, id)) = dialect.waiting.front()
        {
            let link = &self.links[local as usize];
            let joining = link.id == Some(id) && link.status == Status::Opening;
            if joining && until > now {
                return;
            }
            dialect.waiting.pop_front();
            if joining && let Some(mut peer) = peers.get(id) {
                let patience = self.task.plan.connect_timeout;
                let text = format!("the server did not answer the join within {patience:?}");
                self.not_joined(local, &mut peer.tx, &text, now);
            }
        }
    }

    fn not_joined(&mut self, local: u32, tx: &mut Sender<'_>, text: &str, now: Nanos) {
        tx.close(CloseCode::NORMAL, "");
        if self.absence(local).is_some() {
            self.not_back(local, text, now);
        } else {
            self.links[local as usize].id = None;
            self.never_opened(local, text);
        }
    }

    /// A message of the rooms protocol arrived at `now`.
    pub(super) fn heard(
        &mut self,
        local: u32,
        tx: &mut Sender<'_>,
        kind: Kind,
        message: &[u8],
        now: Nanos,
    ) {
        for line in centrifugo::lines(message) {
            let joining = self.links[local as usize].status == Status::Opening;
            match centrifugo::read(line) {
                Line::Publication(data) => self.delivered(local, kind, &data, now),
                Line::Ping => {
                    tx.send(Kind::Text, PONG);
                }
                Line::Done(SUBSCRIBE) if joining => {
                    // A slow consumer's joining is in everybody's books, not in its own.
                    let aside = self.step_aside(local);
                    self.joined(local, tx, now);
                    self.step_back(aside);
                }
                Line::Refused(_, why) if joining => {
                    let text = format!("the server refused the join: {why}");
                    let aside = self.step_aside(local);
                    self.not_joined(local, tx, &text, now);
                    self.step_back(aside);
                    return;
                }
                Line::Refused(_, why) => self.tally.error(&format!("publish refused: {why}")),
                Line::Removed(why) => self.tally.error(&format!("put out of its room: {why}")),
                Line::Done(_) | Line::Other => {}
                Line::Garbage => self.tally.strays += 1,
            }
        }
    }

    fn joined(&mut self, local: u32, tx: &mut Sender<'_>, now: Nanos) {
        let asked = self.arena.get(self.links[local as usize].current).last;
        self.recorder.record(Latency::Join, Phase::Warmup, now.saturating_sub(asked));
        if self.opened(local, now) {
            self.resume(local, tx, now);
        }
    }
}
