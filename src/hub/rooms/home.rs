//! One room, at its home: epoch, offset, history, and who is in it.
//!
//! Knows neither clients nor other shards: what it says is bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use super::clock::Moment;
use super::history::History;
use super::identity::Identity;
use super::letter::{Channel, Join, Position, Ticket, channel_of};
use super::reply::{self, Fault};
use crate::hub::namespace::Namespace;
use crate::hub::publication::Publication;
use crate::hub::stage::Stage;
use crate::limits;

/// A member, as the others see it.
#[derive(Debug)]
struct Member {
    who: Arc<Identity>,
    info: Option<Box<str>>,
}

/// One room.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) channel: Channel,
    pub(super) options: Arc<Namespace>,
    epoch: [u8; Self::EPOCH],
    offset: u64,
    pub(super) history: History,
    /// Shards with members, and how many.
    shards: Vec<(u32, u32)>,
    /// Members by place, if anybody may see them.
    present: Vec<Option<Member>>,
    /// Places that are free.
    free: Vec<u32>,
    /// Frames that are no block yet.
    pub(super) stage: Stage,
    /// It waits among those with frames.
    pub(super) is_staged: bool,
    /// Blocks of frames that are not walked everywhere.
    pub(super) under_way: VecDeque<Weak<Publication>>,
    /// Among these frames are publications, which whoever joins now must not get again.
    pub(super) is_numbered: bool,
    /// When it is to be looked at: its history ages, or nobody has been here for long.
    pub(super) look: Option<Moment>,
    /// Since when nobody is here.
    pub(super) idle: Option<Moment>,
    /// Since when it stands among those that nobody is in.
    pub(super) noted: Option<Moment>,
}

impl Home {
    /// Characters of an epoch.
    pub(super) const EPOCH: usize = 8;
    /// The place of a member that nobody may see.
    const UNSEEN: u32 = u32::MAX;

    /// `random` makes the epoch: a room that was forgotten and comes back has another one.
    pub(super) fn new(channel: Channel, options: Arc<Namespace>, random: u64, now: Moment) -> Self {
        let letter =
            |n: usize| b"abcdefghijklmnopqrstuvwxyz234567"[(random >> (5 * n)) as usize & 31];
        Self {
            channel,
            options,
            epoch: std::array::from_fn(letter),
            offset: 0,
            history: History::default(),
            shards: Vec::new(),
            present: Vec::new(),
            free: Vec::new(),
            stage: Stage::default(),
            is_staged: false,
            is_numbered: false,
            under_way: VecDeque::new(),
            look: None,
            idle: Some(now),
            noted: None,
        }
    }

    fn epoch(&self) -> &str {
        std::str::from_utf8(&self.epoch).unwrap_or_default()
    }

    /// Shards with members.
    pub(super) fn shards(&self) -> impl Iterator<Item = usize> {
        self.shards.iter().map(|(shard, _)| *shard as usize)
    }

    /// Members.
    pub(super) fn members(&self) -> u32 {
        self.shards.iter().map(|(_, members)| members).sum()
    }

    // Members.

    /// Lets a member in and says its place.
    pub(super) fn join(&mut self, from: Ticket, join: Join) -> u32 {
        match self.shards.iter_mut().find(|(shard, _)| *shard == from.shard) {
            Some((_, members)) => *members += 1,
            None => self.shards.push((from.shard, 1)),
        }
        self.idle = None;
        if !self.options.presence && !self.options.join_leave {
            return Self::UNSEEN;
        }
        let member = Some(Member { who: join.who, info: join.info });
        if let Some(place) = self.free.pop() {
            self.present[place as usize] = member;
            return place;
        }
        self.present.push(member);
        (self.present.len() - 1) as u32
    }

    /// Lets a member out, and says who it was.
    pub(super) fn leave(
        &mut self,
        shard: u32,
        place: u32,
        now: Moment,
    ) -> Option<(Arc<Identity>, Option<Box<str>>)> {
        if let Some(at) = self.shards.iter().position(|(one, _)| *one == shard) {
            self.shards[at].1 -= 1;
            if self.shards[at].1 == 0 {
                self.shards.swap_remove(at);
            }
        }
        if self.shards.is_empty() {
            self.idle = Some(now);
        }
        let gone = self.present.get_mut(place as usize).and_then(Option::take)?;
        self.free.push(place);
        if self.free.len() == self.present.len() {
            (self.present, self.free) = (Vec::new(), Vec::new());
        }
        Some((gone.who, gone.info))
    }

    /// A push of who joined or left.
    pub(super) fn tell(&self, what: &str, who: &Identity, info: Option<&str>) -> Vec<u8> {
        let mut push = reply::push_head(channel_of(&self.channel));
        reply::presence(&mut push, what, who, info);
        push
    }

    // Publications.

    /// Takes a publication, and writes its push to `push`.
    pub(super) fn publish(
        &mut self,
        data: &[u8],
        (by, skip_history): (Option<&Identity>, bool),
        now: Moment,
        room: usize,
        push: &mut Vec<u8>,
    ) {
        push.clear();
        push.extend_from_slice(&reply::push_head(channel_of(&self.channel)));
        push.extend_from_slice(b"\"pub\":");
        let start = push.len();
        let keeps = self.options.has_history() && !skip_history;
        self.offset += u64::from(keeps);
        reply::publication(push, data, by, keeps.then_some(self.offset));
        if keeps {
            self.history.add(self.offset, &push[start..], now, &self.options, room);
        }
        push.extend_from_slice(b"}}");
    }

    // Answers.

    /// What a new member is told: its position, and what it missed.
    ///
    /// # Errors
    /// It rather wants nothing than a gap, and there is one.
    pub(super) fn joined(&self, id: u32, join: &Join) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        let recoverable = self.options.is_recoverable();
        let asked = join.recover.as_ref().filter(|_| recoverable);
        let missed = asked.and_then(|position| {
            let same = position.epoch.is_empty() || *position.epoch == *self.epoch();
            let missed = self.history.after(position.offset, self.offset).filter(|_| same)?;
            // All of it in one answer, or none.
            let fits = fitting(missed.clone()).count() == missed.clone().count();
            fits.then_some((position.offset, missed))
        });
        if asked.is_some() && missed.is_none() && join.or_nothing {
            return Err(Fault::UNRECOVERABLE);
        }
        let channel = channel_of(&self.channel);
        reply::subscribed(&mut out, id, channel, |fields| {
            fields.ttl(join.ttl);
            fields.flag("recoverable", recoverable);
            fields.flag("positioned", recoverable);
            if recoverable {
                fields.text("epoch", self.epoch());
            }
            fields.flag("was_recovering", join.recover.is_some());
            fields.flag("recovered", missed.is_some());
            match missed {
                // The position that the client knows: each publication takes it one further.
                Some((offset, missed)) => {
                    fields.number("offset", offset);
                    fields.array("publications", missed);
                }
                None if recoverable => fields.number("offset", self.offset),
                None => {}
            }
        });
        Ok(out)
    }

    /// The newest position.
    pub(super) fn top(&self) -> (u64, Box<str>) {
        (self.offset, self.epoch().into())
    }

    /// Publications in the order asked for; a negative limit is none.
    ///
    /// # Errors
    /// What is asked for is not here any more, or never was.
    pub(super) fn find(
        &self,
        limit: i64,
        since: Option<&Position>,
        reverse: bool,
    ) -> Result<impl Iterator<Item = &[u8]>, Fault> {
        let most = usize::try_from(limit).unwrap_or(usize::MAX).min(limits::HISTORY_ANSWER);
        if let Some(since) = since {
            let other = !since.epoch.is_empty() && *since.epoch != *self.epoch();
            if other || since.offset > self.offset {
                return Err(Fault::UNRECOVERABLE);
            }
        }
        let backward =
            reverse.then(|| self.history.before(since.map_or(u64::MAX, |since| since.offset)));
        let forward = match since.filter(|_| !reverse) {
            Some(since) => {
                let after = self.history.after(since.offset, self.offset);
                Some(after.ok_or(Fault::UNRECOVERABLE)?)
            }
            None => None,
        };
        let all = (!reverse && since.is_none()).then(|| self.history.all());
        let found = backward.into_iter().flatten();
        let found = found.chain(forward.into_iter().flatten());
        Ok(fitting(found.chain(all.into_iter().flatten()).take(most)))
    }

    /// The answer to a history command.
    ///
    /// # Errors
    /// See [`Home::find`].
    pub(super) fn history(
        &self,
        id: u32,
        limit: i64,
        since: Option<&Position>,
        reverse: bool,
    ) -> Result<Vec<u8>, Fault> {
        let found = self.find(limit, since, reverse)?;
        let mut out = Vec::new();
        reply::result(&mut out, id, "history", |fields| {
            fields.array("publications", found);
            fields.text("epoch", self.epoch());
            fields.number("offset", self.offset);
        });
        Ok(out)
    }

    /// Members that may be seen.
    pub(super) fn present(&self) -> impl Iterator<Item = (&Identity, Option<&str>)> {
        self.present.iter().flatten().map(|one| (&*one.who, one.info.as_deref()))
    }

    /// Who is here.
    ///
    /// # Errors
    /// More than one answer holds.
    pub(super) fn presence(&self, id: u32) -> Result<Vec<u8>, Fault> {
        if self.present.len() - self.free.len() > limits::PRESENCE_ANSWER {
            return Err(Fault::LIMIT);
        }
        let mut out = Vec::new();
        reply::result(&mut out, id, "presence", |fields| {
            let out = fields.key("presence");
            out.push(b'{');
            for (n, (who, info)) in self.present().enumerate() {
                out.extend_from_slice(if n > 0 { b",\"" } else { b"\"" });
                who.write_id(out);
                out.extend_from_slice(b"\":");
                who.write(info, out);
            }
            out.push(b'}');
        });
        if out.len() > limits::ANSWER_BYTES { Err(Fault::LIMIT) } else { Ok(out) }
    }

    /// Clients and users here.
    pub(super) fn counts(&self) -> (usize, usize) {
        let mut users: Vec<&str> = self.present().map(|(who, _)| &*who.user).collect();
        let clients = users.len();
        users.sort_unstable();
        users.dedup();
        (clients, users.len())
    }

    /// How many are here.
    pub(super) fn presence_stats(&self, id: u32) -> Vec<u8> {
        let (clients, users) = self.counts();
        let mut out = Vec::new();
        reply::result(&mut out, id, "presence_stats", |fields| {
            fields.number("num_clients", clients as u64);
            fields.number("num_users", users as u64);
        });
        out
    }

    /// When it is to be looked at next, if ever.
    pub(super) fn next_look(&self) -> Option<Moment> {
        let forget = self.idle.map(|idle| {
            if self.options.has_history() { idle.plus(self.options.history_meta_ttl) } else { idle }
        });
        self.history.expires(&self.options).into_iter().chain(forget).min()
    }

    /// Whether it may be forgotten.
    pub(super) fn is_over(&self, now: Moment) -> bool {
        let meta = self.options.has_history().then_some(self.options.history_meta_ttl);
        let idle = self.idle.is_some_and(|idle| meta.is_none_or(|meta| idle.plus(meta) <= now));
        idle && !self.is_staged
    }
}

/// The first one and as many more as one answer holds.
fn fitting<'p>(all: impl Iterator<Item = &'p [u8]>) -> impl Iterator<Item = &'p [u8]> {
    let mut bytes = 0;
    all.take_while(move |json| {
        let is_first = bytes == 0;
        bytes += json.len();
        is_first || bytes <= limits::ANSWER_BYTES
    })
}
