//! What the admin plane asks: [`calls`](crate::calls), answered where the room's home or the
//! connections are.

use std::sync::Arc;

use super::client::Phase;
use super::history::History;
use super::identity::Identity;
use super::letter::{Channel, Join, Key, channel_of, room_name};
use super::reply::{Bye, Fault, Out};
use super::{Rooms, letter};
use crate::calls::{Answer, Ask, Call, Denied, Load, Member, Outcome, Position, Publication};
use crate::hub::fanout::{Fanout, Reach};
use crate::hub::json::Members;
use crate::limits;
use crate::wire::close::CloseCode;

impl From<Fault> for Denied {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::UNKNOWN_CHANNEL => Self::UnknownChannel,
            Fault::NOT_AVAILABLE => Self::NotAvailable,
            Fault::UNRECOVERABLE => Self::UnrecoverablePosition,
            _ => Self::BadRequest,
        }
    }
}

fn text(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}

/// As the admin plane shows a client.
pub(super) fn member(who: &Identity, chan_info: Option<&str>) -> Member {
    let mut id = Vec::new();
    who.write_id(&mut id);
    let (user, conn_info) = (who.user.clone(), who.info().map(Box::from));
    Member { client: text(&id), user, conn_info, chan_info: chan_info.map(Box::from) }
}

impl<I: Copy + PartialEq> Rooms<I> {
    /// Answers a call.
    pub(in crate::hub) fn called<S: Clone>(
        &mut self,
        Call { ask, reply }: Call,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) {
        let outcome = match ask {
            Ask::Publish { channel, data, skip_history } => {
                self.call_publish(&channel, (&data, skip_history), fanout)
            }
            Ask::Subscribe { user, channel, client, info } => {
                self.call_subscribe((&user, client.as_deref()), (&channel, info), fanout, reach)
            }
            Ask::Unsubscribe { user, channel, client } => {
                Ok(self.call_unsubscribe((&user, client.as_deref()), &channel, fanout, reach))
            }
            Ask::Disconnect { user, client, except, code, reason } => {
                let keys = self.clients_of(&user, client.as_deref());
                let keys = keys.into_iter().filter(|(_, id)| !except.contains(id));
                let keys: Vec<Key> = keys.map(|(key, _)| key).collect();
                let asked = (CloseCode(code), &*reason);
                let forced = (Bye::FORCED.0, Bye::FORCED.1);
                let (code, reason) = if asked.0.may_be_sent() { asked } else { forced };
                for key in &keys {
                    self.close_with(*key, code, reason, reach);
                }
                Ok(Answer::Reached(keys.len() as u64))
            }
            Ask::Presence { channel } => self.call_presence(&channel),
            Ask::PresenceStats { channel } => self.call_presence_stats(&channel),
            Ask::History { channel, limit, since, reverse } => {
                self.call_history(&channel, limit, since.as_ref(), reverse)
            }
            Ask::HistoryRemove { channel } => self.call_history_remove(&channel),
            Ask::Channels { pattern } => Ok(Answer::Channels(fanout.rooms(|name| {
                pattern.as_deref().is_none_or(|pattern| fits(pattern, channel_of(name)))
            }))),
            Ask::Info => Ok(Answer::Info(self.call_info(fanout))),
        };
        reply.send(outcome);
    }

    /// A room by its channel, if that is one.
    fn room(&mut self, channel: &str) -> Result<Channel, Denied> {
        if channel.is_empty() || channel.len() > limits::MAX_CHANNEL {
            return Err(Denied::BadRequest);
        }
        if self.settings.namespaces.of(channel).is_none() {
            return Err(Denied::UnknownChannel);
        }
        room_name(channel, &mut self.name);
        Ok(Arc::from(self.name.as_slice()))
    }

    /// A user's clients here, or one of them, with their names.
    fn clients_of(&mut self, user: &str, client: Option<&str>) -> Vec<(Key, Box<str>)> {
        let mut found = Vec::new();
        for (key, one) in self.clients.iter() {
            if let Phase::In(who) = &one.phase
                && *who.user == *user
            {
                let mut id = Vec::new();
                who.write_id(&mut id);
                if client.is_none_or(|client| client.as_bytes() == id) {
                    found.push((key, text(&id)));
                }
            }
        }
        found
    }

    fn call_publish<S: Clone>(
        &mut self,
        channel: &str,
        (data, skip_history): (&str, bool),
        fanout: &mut Fanout<I, S>,
    ) -> Outcome {
        let channel = self.room(channel)?;
        let (_, position) =
            self.publish_home(&channel, data.as_bytes(), (None, skip_history), fanout);
        Ok(Answer::Published(position.map(|(offset, epoch)| Position { offset, epoch })))
    }

    fn call_subscribe<S: Clone>(
        &mut self,
        (user, client): (&str, Option<&str>),
        (channel, info): (&str, Option<Box<str>>),
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) -> Outcome {
        self.room(channel)?;
        let Some(options) = self.settings.namespaces.of(channel).map(Arc::clone) else {
            return Err(Denied::UnknownChannel);
        };
        let mut reached = 0;
        for (key, _) in self.clients_of(user, client) {
            let crowd = self.crowd(channel, fanout);
            let most = self.settings.channels_per_client;
            let Some(one) = self.clients.get_mut(key) else { continue };
            let Phase::In(who) = &one.phase else { continue };
            let who = Arc::clone(who);
            let is_in = crowd.is_some_and(|crowd| one.sub(crowd).is_some());
            if !is_in && one.subs.len() < most {
                let info = info.clone();
                let join = Join { who, info, recover: None, or_nothing: false, ttl: None };
                self.join(key, 0, (channel, &options), join, fanout, reach);
            }
            reached += 1;
        }
        Ok(Answer::Reached(reached))
    }

    fn call_unsubscribe<S: Clone>(
        &mut self,
        (user, client): (&str, Option<&str>),
        channel: &str,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) -> Answer {
        let mut reached = 0;
        for (key, _) in self.clients_of(user, client) {
            let crowds: Vec<u32> = if channel.is_empty() {
                self.clients.get_mut(key).map_or_else(Vec::new, |client| {
                    client.subs.iter().map(|sub| sub.crowd).collect()
                })
            } else {
                self.crowd(channel, fanout).into_iter().collect()
            };
            let mut was_in = false;
            for crowd in crowds {
                let sub = self.clients.get_mut(key).and_then(|client| client.sub(crowd));
                if sub.is_some_and(|sub| sub.is_in()) {
                    self.put_out(key, crowd, Out::BY_SERVER, fanout, reach);
                    was_in = true;
                }
            }
            reached += u64::from(was_in);
        }
        Answer::Reached(reached)
    }

    fn call_presence(&mut self, channel: &str) -> Outcome {
        let channel = self.room_with_presence(channel)?;
        let Some(number) = self.homes.find(&channel) else {
            return Ok(Answer::Presence(Vec::new()));
        };
        let home = self.homes.get(number).ok_or(Denied::Internal)?;
        Ok(Answer::Presence(home.present().map(|(who, info)| member(who, info)).collect()))
    }

    fn call_presence_stats(&mut self, channel: &str) -> Outcome {
        let channel = self.room_with_presence(channel)?;
        let number = self.homes.find(&channel);
        let home = number.and_then(|number| self.homes.get(number));
        let (clients, users) = home.map_or((0, 0), |home| home.counts());
        Ok(Answer::PresenceStats { clients: clients as u64, users: users as u64 })
    }

    fn room_with_presence(&mut self, channel: &str) -> Result<Channel, Denied> {
        let room = self.room(channel)?;
        let options = self.settings.namespaces.of(channel);
        if options.is_some_and(|options| options.presence) {
            Ok(room)
        } else {
            Err(Denied::NotAvailable)
        }
    }

    fn room_with_history(&mut self, channel: &str) -> Result<Channel, Denied> {
        let room = self.room(channel)?;
        let options = self.settings.namespaces.of(channel);
        if options.is_some_and(|options| options.has_history()) {
            Ok(room)
        } else {
            Err(Denied::NotAvailable)
        }
    }

    fn call_history(
        &mut self,
        channel: &str,
        limit: Option<u32>,
        since: Option<&Position>,
        reverse: bool,
    ) -> Outcome {
        let channel = self.room_with_history(channel)?;
        let limit = limit.map_or(-1, i64::from);
        let since = since
            .map(|since| letter::Position { offset: since.offset, epoch: since.epoch.clone() });
        self.look(&channel, |home| {
            let found = home.find(limit, since.as_ref(), reverse)?;
            let publications = found.map(publication).collect();
            let (offset, epoch) = home.top();
            Ok(Answer::History { publications, top: Position { offset, epoch } })
        })
        .map_err(Denied::from)
    }

    fn call_history_remove(&mut self, channel: &str) -> Outcome {
        let channel = self.room_with_history(channel)?;
        if let Some(number) = self.homes.find(&channel)
            && let Some(home) = self.homes.get(number)
        {
            self.history_bytes -= home.history.bytes();
            home.history = History::default();
            self.settle(number);
        }
        Ok(Answer::Done)
    }

    fn call_info<S: Clone>(&self, fanout: &Fanout<I, S>) -> Load {
        let mut users: Vec<&str> = Vec::new();
        let mut load = Load::default();
        for (_, client) in self.clients.iter() {
            if let Phase::In(who) = &client.phase {
                load.clients += 1;
                users.push(&who.user);
            }
            load.subscriptions += client.subs.iter().filter(|sub| sub.is_in()).count() as u64;
        }
        users.sort_unstable();
        users.dedup();
        load.users = users.len() as u64;
        load.channels = fanout.rooms(|_| true).len() as u64;
        load
    }
}

/// A publication as the history has it, taken apart.
fn publication(json: &[u8]) -> Publication {
    let mut found = Publication { offset: 0, data: "null".into(), info: None };
    for (key, value) in Members::of(json) {
        match key {
            b"\"data\"" => found.data = text(value),
            b"\"offset\"" => found.offset = text(value).parse().unwrap_or_default(),
            b"\"info\"" => found.info = Some(publisher(value)),
            _ => {}
        }
    }
    found
}

fn publisher(json: &[u8]) -> Member {
    let mut found = Member::default();
    for (key, value) in Members::of(json) {
        let mut copy = value.to_vec();
        let string = || match simd_json::to_tape(&mut copy).ok()?.0.first() {
            Some(simd_json::Node::String(text)) => Some(Box::from(*text)),
            _ => None,
        };
        match key {
            b"\"client\"" => found.client = { string }().unwrap_or_default(),
            b"\"user\"" => found.user = { string }().unwrap_or_default(),
            b"\"conn_info\"" => found.conn_info = Some(text(value)),
            b"\"chan_info\"" => found.chan_info = Some(text(value)),
            _ => {}
        }
    }
    found
}

/// Whether a name is as the pattern has it: `*` stands for any run of characters, `?` for one.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(one) if *one == '?' || *one == name[n] => {
                p += 1;
                n += 1;
            }
            // The last star takes one more.
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|one| *one == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, yes) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("chat:*", "chat:42", true),
            ("chat:*", "chat", false),
            ("*:4?", "chat:42", true),
            ("*a*b", "xaxxb", true),
            ("*a*b", "xaxxbc", false),
            ("?", "é", true),
            ("**", "anything", true),
        ] {
            assert_eq!(fits(pattern, name), yes, "{pattern} {name}");
        }
    }

    #[test]
    fn a_publication_taken_apart() {
        let info = r#"{"user":"a\"b","client":"c","conn_info":{}}"#;
        let json = format!("{{\"data\":{{\"a\":[1,\"x\"]}},\"info\":{info},\"offset\":7}}");
        let found = publication(json.as_bytes());
        assert_eq!((found.offset, &*found.data), (7, r#"{"a":[1,"x"]}"#));
        let info = found.info.unwrap();
        assert_eq!(
            (&*info.user, &*info.client, info.conn_info.as_deref()),
            ("a\"b", "c", Some("{}"))
        );
    }
}
