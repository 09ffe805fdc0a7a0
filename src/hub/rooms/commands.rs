//! What clients ask for, carried out on their own shard as far as that goes.

use std::sync::Arc;
use std::time::Duration;

use super::Rooms;
use super::client::{Phase, within};
use super::clock::Moment;
use super::identity::Identity;
use super::letter::{Ask, Key, Position, Ticket, What};
use super::reply::{self, Bye, Fault};
use crate::hub::command::{self, Command, Parser};
use crate::hub::fanout::{Fanout, Reach};
use crate::limits;

/// Why a command is not carried out.
pub(super) enum Refusal {
    Fault(Fault),
    Bye(Bye),
    /// An earlier command about the same room has no answer yet, or too many of them have none.
    Wait,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Bye> for Refusal {
    fn from(bye: Bye) -> Self {
        Self::Bye(bye)
    }
}

/// The flag of a subscribe command that rather wants an error than a gap.
pub(super) const REJECT_UNRECOVERED: u64 = 2;

/// What a letter costs beside its data, in bytes.
const LETTER: usize = 256;

impl<I: Copy + PartialEq> Rooms<I> {
    /// Carries out a slice of what is in the inbox; before it what had to wait for an answer that
    /// is here now.
    pub(super) fn carry_out<S: Clone>(
        &mut self,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) {
        let Some(mut parser) = self.parser.take() else { return };
        for (key, messages) in std::mem::take(&mut self.resumed) {
            for message in messages {
                self.read(key, &message, &mut parser, fanout, reach);
            }
        }
        let commands = std::mem::take(&mut self.commands);
        let mut at = 0;
        while at < limits::COMMAND_BYTES_PER_TURN
            && let Some((key, len)) = self.inbox.pop_front()
        {
            self.read(key, &commands[at..at + len], &mut parser, fanout, reach);
            at += len;
        }
        self.parser = Some(parser);
        self.commands = commands;
        self.commands.drain(..at);
        if self.commands.is_empty() && self.commands.capacity() > limits::COMMAND_BYTES_PER_TURN {
            self.commands = Vec::new();
        }
    }

    fn read<S: Clone>(
        &mut self,
        key: Key,
        message: &[u8],
        parser: &mut Parser,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) {
        if let Some(stalled) = self.stalled.get_mut(&key) {
            stalled.push(message.into());
            self.stalled_bytes += message.len();
            return;
        }
        let outcome = parser.message(message, |command| self.command(key, command, fanout, reach));
        match outcome {
            Ok(taken) if taken < message.len() => {
                self.stalled.insert(key, vec![message[taken..].into()]);
                self.stalled_bytes += message.len() - taken;
            }
            Ok(_) => {}
            Err(_) => self.close(key, Bye::BAD_REQUEST, reach),
        }
    }

    /// The answer that a client's commands wait for is here, or the client is gone.
    pub(super) fn unstall(&mut self, key: Key) {
        if let Some(stalled) = self.stalled.remove(&key) {
            self.stalled_bytes -= stalled.iter().map(|message| message.len()).sum::<usize>();
            self.resumed.push((key, stalled));
        }
    }

    /// False: it has to wait until a room's home has answered an earlier one.
    fn command<S: Clone>(
        &mut self,
        key: Key,
        command: Command<'_>,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) -> bool {
        let Some(client) = self.clients.get_mut(key) else { return true };
        // After our close frame what it asks for is nobody's.
        let Some(owed) = client.conn.and_then(|conn| reach.owed(conn)) else { return true };
        let outcome = match (&client.phase, command.ask) {
            (Phase::Silent(_), command::Ask::Connect(ask)) => {
                self.connect(key, command.id, ask, fanout, reach)
            }
            // Everything else comes after that, and nothing after a refusal.
            (Phase::Silent(_) | Phase::Refused, _) => Err(Bye::BAD_REQUEST.into()),
            (Phase::In(who), ask) => {
                let who = Arc::clone(who);
                let room = if is_question(&ask) { self.may_ask(key, owed) } else { Ok(()) };
                room.and_then(|()| self.ask_of(key, (command.id, &who), ask, fanout, reach))
            }
        };
        match outcome {
            Ok(()) => {}
            Err(Refusal::Fault(fault)) => self.fault(key, command.id, fault),
            Err(Refusal::Bye(bye)) => self.close(key, bye, reach),
            Err(Refusal::Wait) => return false,
        }
        true
    }

    /// Whether something may be looked up for a client that owes so many bytes: answers are larger
    /// than questions, and one message has a thousand of those.
    fn may_ask(&mut self, key: Key, owed: usize) -> Result<(), Refusal> {
        let Some(client) = self.clients.get_mut(key) else { return Ok(()) };
        let said = self.outs.get(client.out as usize).map_or(0, |(_, text)| text.len());
        if owed + said > self.settings.max_pending {
            return Err(Fault::TOO_MANY.into());
        }
        if client.questions >= limits::QUESTIONS {
            return Err(Refusal::Wait);
        }
        Ok(())
    }

    fn ask_of<S: Clone>(
        &mut self,
        key: Key,
        by: (u32, &Arc<Identity>),
        ask: command::Ask<'_>,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) -> Result<(), Refusal> {
        use command::Ask as Asked;
        let id = by.0;
        match ask {
            Asked::Pong => return self.pong(key).map_err(Refusal::Bye),
            Asked::Connect(_) | Asked::Nothing => return Err(Bye::BAD_REQUEST.into()),
            Asked::Subscribe(ask) => return self.subscribe(key, by, ask, fanout, reach),
            Asked::Unsubscribe(channel) => {
                return self.unsubscribe(key, id, channel, fanout, reach);
            }
            Asked::Publish(channel, data) => {
                return self.publish(key, by, (channel, data), fanout, reach);
            }
            Asked::Presence(channel) => {
                self.may_see_presence(key, by.1, channel, fanout)?;
                self.ask_home(key, id, channel, What::Presence, fanout, reach);
            }
            Asked::PresenceStats(channel) => {
                self.may_see_presence(key, by.1, channel, fanout)?;
                self.ask_home(key, id, channel, What::PresenceStats, fanout, reach);
            }
            Asked::History(ask) => return self.history(key, by, ask, fanout, reach),
            Asked::Refresh(token) => return self.refresh(key, by, token),
            Asked::SubRefresh(channel, token) => {
                return self.sub_refresh(key, by, (channel, token), fanout);
            }
            Asked::Ping => reply::empty(self.out(key), id, "ping"),
            Asked::Rpc | Asked::Unknown => return Err(Fault::NO_METHOD.into()),
            // There is nobody to take it, and nothing to answer.
            Asked::Send => {}
        }
        Ok(())
    }

    // Who comes.

    /// Lets a client in whose token is good for so many seconds.
    pub(super) fn let_in(&mut self, key: Key, id: u32, who: &Arc<Identity>, ttl: Option<u32>) {
        let settings = Arc::clone(&self.settings);
        let until = self.until(ttl);
        let now = self.clock.now();
        let Some(client) = self.clients.get_mut(key) else { return };
        client.phase = Phase::In(Arc::clone(who));
        client.until = until;
        if let Some(interval) = settings.ping_interval {
            // Those who come together are not pinged together: the first ping is due after half of
            // the interval or more.
            let spread = interval / 2 * (key.index % 64) / 64;
            client.ping_at = now.plus(interval / 2 + spread);
        }
        self.arm(key);
        reply::result(self.out(key), id, "connect", |fields| {
            let out = fields.key("client");
            out.push(b'"');
            who.write_id(out);
            out.push(b'"');
            fields.text("version", super::VERSION);
            fields.ttl(ttl);
            if let Some(interval) = settings.ping_interval {
                fields.number("ping", interval.as_secs().max(1));
                fields.flag("pong", true);
            }
        });
    }

    /// When a token of so many seconds ends, with the grace that there is.
    pub(super) fn until(&self, ttl: Option<u32>) -> Moment {
        let Some(ttl) = ttl else { return Moment::NEVER };
        let ttl = Duration::from_secs(ttl.into());
        self.clock.now().plus(ttl + self.settings.expired_close_delay)
    }

    fn pong(&mut self, key: Key) -> Result<(), Bye> {
        let client = self.clients.get_mut(key).filter(|client| client.pong_by != Moment::NEVER);
        let client = client.ok_or(Bye::BAD_REQUEST)?;
        client.pong_by = Moment::NEVER;
        Ok(())
    }

    // What is asked of a room.

    fn publish<S: Clone>(
        &mut self,
        key: Key,
        (id, who): (u32, &Arc<Identity>),
        (channel, data): (&str, Option<&[u8]>),
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) -> Result<(), Refusal> {
        let options = self.options(channel)?;
        let subscribed = self.is_member(key, channel, fanout);
        if !options.may_publish(channel, &who.user, subscribed) {
            return Err(Fault::DENIED.into());
        }
        let data = data.ok_or(Fault::BAD_REQUEST)?;
        let now = self.clock.micros();
        let deliveries = self.settings.deliveries_per_client;
        let Some(client) = self.clients.get_mut(key) else { return Ok(()) };
        if !within(&mut client.delivered, 0, deliveries, now)
            || !within(&mut client.published, 1, options.publish_rate, now)
        {
            return Err(Fault::TOO_MANY.into());
        }
        let what = What::Publish { data: data.into(), by: Arc::clone(who) };
        self.ask_home(key, id, channel, what, fanout, reach);
        Ok(())
    }

    fn may_see_presence<S: Clone>(
        &mut self,
        key: Key,
        who: &Identity,
        channel: &str,
        fanout: &Fanout<I, S>,
    ) -> Result<(), Refusal> {
        let options = self.options(channel)?;
        let subscribed = self.is_member(key, channel, fanout);
        if !options.may_see_presence(channel, &who.user, subscribed) {
            return Err(Fault::DENIED.into());
        }
        if !options.presence {
            return Err(Fault::NOT_AVAILABLE.into());
        }
        Ok(())
    }

    fn history<S: Clone>(
        &mut self,
        key: Key,
        (id, who): (u32, &Arc<Identity>),
        ask: command::History<'_>,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) -> Result<(), Refusal> {
        let options = self.options(ask.channel)?;
        let subscribed = self.is_member(key, ask.channel, fanout);
        if !options.may_read_history(ask.channel, &who.user, subscribed) {
            return Err(Fault::DENIED.into());
        }
        if !options.has_history() {
            return Err(Fault::NOT_AVAILABLE.into());
        }
        let since = ask.since.map(|(offset, epoch)| Position { offset, epoch: epoch.into() });
        let what = What::History { limit: ask.limit, since, reverse: ask.reverse };
        self.ask_home(key, id, ask.channel, what, fanout, reach);
        Ok(())
    }

    /// Asks a room's home, and counts the letter until its answer is here.
    pub(super) fn ask_home<S: Clone>(
        &mut self,
        client: Key,
        id: u32,
        channel: &str,
        what: What,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) {
        let data = if let What::Publish { data, .. } = &what { data.len() } else { 0 };
        let cost = (LETTER + data) as u32;
        fanout.asked(cost as usize);
        if !matches!(what, What::Publish { .. })
            && let Some(client) = self.clients.get_mut(client)
        {
            client.questions += 1;
        }
        let from = Ticket { shard: self.shard, client, id, cost };
        let channel = match self.crowd(channel, fanout).and_then(|crowd| fanout.name(crowd)) {
            Some(name) => name,
            None => Arc::from(self.name.as_slice()),
        };
        self.ask(Ask { from, channel, what }, fanout, reach);
    }
}

/// Whether the answer may be much larger than the command.
fn is_question(ask: &command::Ask<'_>) -> bool {
    use command::Ask;
    matches!(ask, Ask::Subscribe(_) | Ask::History(_) | Ask::Presence(_) | Ask::PresenceStats(_))
}
