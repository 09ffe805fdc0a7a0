//! What is asked of the rooms that this shard is home to.

use std::sync::Arc;

use super::Rooms;
use super::home::Home;
use super::identity::Identity;
use super::letter::{Answer, Ask, Channel, Join, Said, Ticket, What, channel_of};
use super::reply::{self, Fault};
use crate::conn::Kind;
use crate::hub::fanout::{Fanout, Reach, WALKS_AHEAD};
use crate::hub::letters::Letter;
use crate::limits;

impl<I: Copy + PartialEq> Rooms<I> {
    /// A letter to a room whose home this is.
    pub(in crate::hub) fn asked<S: Clone>(
        &mut self,
        Ask { from, channel, what }: Ask,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) {
        let said = match what {
            What::Join(join) => self.join_home(from, channel, join, fanout, reach),
            What::Leave(place) => return self.leave_home(from, &channel, place, fanout),
            What::Publish { data, by } => {
                let (deliveries, _) =
                    self.publish_home(&channel, &data, (Some(&by), false), fanout);
                Said::Published { id: from.id, deliveries }
            }
            What::Presence => self.reply(from, &channel, |home| home.presence(from.id)),
            What::PresenceStats => {
                self.reply(from, &channel, |home| Ok(home.presence_stats(from.id)))
            }
            What::History { limit, since, reverse } => self.reply(from, &channel, |home| {
                home.history(from.id, limit, since.as_ref(), reverse)
            }),
        };
        let answer = Answer { client: from.client, cost: from.cost, said };
        // An acknowledgement waits until the shards have taken what was published before: the
        // publisher's shard stops to read when it has too many of them to come.
        if matches!(answer.said, Said::Published { .. })
            && (fanout.is_backed_up() || !self.late.is_empty())
        {
            self.late.push_back((from.shard, answer));
        } else {
            self.answer(from.shard, answer, fanout, reach);
        }
    }

    fn answer<S: Clone>(
        &mut self,
        to: u32,
        answer: Answer,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) {
        if to == self.shard {
            self.answered(answer, fanout, reach);
        } else {
            fanout.send(to as usize, Letter::Answer(Box::new(answer)), reach);
        }
    }

    /// Sends the acknowledgements that waited.
    pub(super) fn answer_late<S: Clone>(
        &mut self,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) {
        while !fanout.is_backed_up()
            && let Some((to, answer)) = self.late.pop_front()
        {
            self.answer(to, answer, fanout, reach);
        }
    }

    /// The room of this name, made if it is not there. `None` if its namespace is gone.
    fn home(&mut self, channel: &Channel) -> Option<u32> {
        if let Some(number) = self.homes.find(channel) {
            return Some(number);
        }
        let options = Arc::clone(self.settings.namespaces.of(channel_of(channel))?);
        let (random, now) = (self.random() as u64, self.clock.now());
        while self.idle.len() >= limits::IDLE_ROOMS
            && let Some((_, number)) = self.idle.pop_first()
        {
            self.forget(number);
        }
        let home = Home::new(Arc::clone(channel), options, random, now);
        let number = self.homes.add(Arc::clone(channel), home);
        self.settle(number);
        Some(number)
    }

    /// Looks at a room, once what is too old is gone.
    pub(super) fn look<T>(
        &mut self,
        channel: &Channel,
        look: impl FnOnce(&Home) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let number = self.home(channel).ok_or(Fault::UNKNOWN_CHANNEL)?;
        let now = self.clock.now();
        let home = self.homes.get(number).ok_or(Fault::UNKNOWN_CHANNEL)?;
        let before = home.history.bytes();
        home.history.age(now, &home.options);
        self.history_bytes -= before - home.history.bytes();
        let looked = look(home);
        self.settle(number);
        looked
    }

    /// A reply that only looks at a room.
    fn reply(
        &mut self,
        from: Ticket,
        channel: &Channel,
        look: impl FnOnce(&Home) -> Result<Vec<u8>, Fault>,
    ) -> Said {
        Said::Reply(written(from.id, self.look(channel, look)))
    }

    fn join_home<S: Clone>(
        &mut self,
        from: Ticket,
        channel: Channel,
        join: Join,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) -> Said {
        let Some(number) = self.home(&channel) else {
            let reply = written(from.id, Err(Fault::UNKNOWN_CHANNEL));
            return Said::Refused { channel, reply };
        };
        let now = self.clock.now();
        // What has an offset below its position goes off before its answer.
        if self.homes.get(number).is_some_and(|home| home.is_numbered) {
            self.seal(number, fanout, reach);
        }
        let Some(home) = self.homes.get(number) else {
            let reply = written(from.id, Err(Fault::UNKNOWN_CHANNEL));
            return Said::Refused { channel, reply };
        };
        let before = home.history.bytes();
        home.history.age(now, &home.options);
        self.history_bytes -= before - home.history.bytes();
        let joined = home.joined(from.id, &join);
        let said = if joined.is_err() {
            Said::Refused { channel, reply: written(from.id, joined) }
        } else {
            let tells = home.options.join_leave;
            let push = tells.then(|| home.tell("join", &join.who, join.info.as_deref()));
            let place = home.join(from, join);
            if let Some(push) = push {
                self.stage(number, &push, fanout);
            }
            Said::Joined { channel, place, reply: written(from.id, joined) }
        };
        self.settle(number);
        said
    }

    fn leave_home<S: Clone>(
        &mut self,
        from: Ticket,
        channel: &Channel,
        place: u32,
        fanout: &mut Fanout<I, S>,
    ) {
        let Some(number) = self.homes.find(channel) else { return };
        let now = self.clock.now();
        let Some(home) = self.homes.get(number) else { return };
        let gone = home.leave(from.shard, place, now);
        if let Some((who, info)) = gone.filter(|_| home.options.join_leave) {
            let push = home.tell("leave", &who, info.as_deref());
            self.stage(number, &push, fanout);
        }
        self.settle(number);
    }

    /// Takes a publication, and says how many members will get it, and its position.
    pub(super) fn publish_home<S: Clone>(
        &mut self,
        channel: &Channel,
        data: &[u8],
        by: (Option<&Identity>, bool),
        fanout: &mut Fanout<I, S>,
    ) -> (u32, Option<(u64, Box<str>)>) {
        let Some(number) = self.home(channel) else { return (0, None) };
        let now = self.clock.now();
        let Some(home) = self.homes.get(number) else { return (0, None) };
        let mut push = std::mem::take(&mut self.push);
        let before = home.history.bytes();
        let others = self.history_bytes - before;
        let room = self.history_room.saturating_sub(others);
        home.publish(data, by, now, room, &mut push);
        self.history_bytes = others + home.history.bytes();
        let keeps = home.options.has_history() && !by.1;
        let position = (keeps && by.0.is_none()).then(|| home.top());
        let members = home.members();
        if members > 0 {
            home.is_numbered = true;
            self.stage(number, &push, fanout);
        } else if home.idle.is_some() {
            home.idle = Some(now);
        }
        self.push = push;
        self.settle(number);
        (members, position)
    }

    /// Gathers a push for everybody in a room.
    fn stage<S: Clone>(&mut self, number: u32, push: &[u8], fanout: &mut Fanout<I, S>) {
        let Some(home) = self.homes.get(number) else { return };
        if home.members() == 0 {
            return;
        }
        fanout.staged_bytes += home.stage.add(Kind::Text, push, &mut fanout.spare);
        if !std::mem::replace(&mut home.is_staged, true) {
            self.staged.push(number);
        }
    }

    /// Sends off what a room has gathered.
    fn seal<S: Clone>(
        &mut self,
        number: u32,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) {
        let Some(home) = self.homes.get(number) else { return };
        home.is_numbered = false;
        let here = fanout.find(&home.channel);
        while let Some(frames) = home.stage.next(&mut fanout.spare) {
            fanout.staged_bytes -= frames.0.len();
            let to = home.shards().map(|shard| (shard, None));
            let sent = fanout.publish(&home.channel, frames, to, here, reach);
            home.under_way.push_back(sent);
        }
    }

    /// Makes blocks of what was published in this turn.
    pub(super) fn send_staged<S: Clone>(
        &mut self,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) {
        let mut staged = std::mem::take(&mut self.staged);
        staged.retain(|number| {
            let Some(home) = self.homes.get(*number) else { return false };
            // A shard that lags gets larger blocks, which cost it fewer walks.
            home.under_way.retain(|block| block.strong_count() > 0);
            if home.under_way.len() > WALKS_AHEAD && !home.stage.has_blocks() {
                return true;
            }
            home.is_staged = false;
            self.seal(*number, fanout, reach);
            self.settle(*number);
            false
        });
        staged.append(&mut self.staged);
        self.staged = staged;
    }

    /// Sees to when a room is looked at again, and whether it stands among those with nobody in.
    pub(super) fn settle(&mut self, number: u32) {
        let Some(home) = self.homes.get(number) else { return };
        let idle = home.idle.filter(|_| !home.is_staged);
        if home.noted != idle {
            if let Some(noted) = std::mem::replace(&mut home.noted, idle) {
                self.idle.remove(&(noted, number));
            }
            self.idle.extend(idle.map(|since| (since, number)));
        }
        let next = home.next_look();
        // One that is due earlier anyway will set the next one then.
        if let Some(look) = home.look
            && next.is_some_and(|next| look <= next)
        {
            return;
        }
        if let Some(look) = std::mem::replace(&mut home.look, next) {
            self.looks.remove(&(look, number));
        }
        self.looks.extend(next.map(|next| (next, number)));
    }

    /// Looks at rooms that are due: lets go of old publications, and of rooms that nobody has been
    /// in for long.
    pub(super) fn look_after(&mut self) {
        let now = self.clock.now();
        for _ in 0..limits::DELIVERIES_PER_SLICE {
            let due = self.looks.pop_first();
            let Some((look, number)) = due else { return };
            if look > now {
                self.looks.insert((look, number));
                return;
            }
            let Some(home) = self.homes.get(number) else { continue };
            home.look = None;
            let before = home.history.bytes();
            home.history.age(now, &home.options);
            self.history_bytes -= before - home.history.bytes();
            if home.is_over(now) {
                self.forget(number);
            } else {
                self.settle(number);
            }
        }
    }

    /// Forgets a room that nobody is in and that has nothing to send.
    fn forget(&mut self, number: u32) {
        let Some(home) = self.homes.get(number) else { return };
        self.history_bytes -= home.history.bytes();
        if let Some(noted) = home.noted {
            self.idle.remove(&(noted, number));
        }
        if let Some(look) = home.look {
            self.looks.remove(&(look, number));
        }
        let channel = Arc::clone(&home.channel);
        self.homes.remove(number, &channel);
    }
}

/// A reply, or the error in its place.
fn written(id: u32, reply: Result<Vec<u8>, Fault>) -> Box<[u8]> {
    let reply = reply.unwrap_or_else(|fault| {
        let mut out = Vec::new();
        reply::fault(&mut out, id, fault);
        out
    });
    reply.into()
}
