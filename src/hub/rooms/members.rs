//! How clients come into rooms and go out of them, on their own shard.

use std::sync::Arc;

use super::Rooms;
use super::client::Sub;
use super::commands::Refusal;
use super::identity::Identity;
use super::letter::{Join, Key, What, channel_of, room_name};
use super::reply::{self, Bye, Fault, Out};
use crate::hub::command;
use crate::hub::fanout::{Fanout, Reach, Service};
use crate::hub::namespace::Namespace;
use crate::limits;

impl<I: Copy + PartialEq> Rooms<I> {
    /// The crowd of a channel here, if there is one.
    pub(super) fn crowd<S: Clone>(&mut self, channel: &str, fanout: &Fanout<I, S>) -> Option<u32> {
        room_name(channel, &mut self.name);
        fanout.find(&self.name)
    }

    /// Whether a client is subscribed.
    pub(super) fn is_member<S: Clone>(
        &mut self,
        key: Key,
        channel: &str,
        fanout: &Fanout<I, S>,
    ) -> bool {
        self.sub(key, channel, fanout).is_some_and(|sub| sub.is_in())
    }

    /// Whether a client is subscribed or waits for the answer: it has one place in a room.
    pub(super) fn has_asked<S: Clone>(
        &mut self,
        key: Key,
        channel: &str,
        fanout: &Fanout<I, S>,
    ) -> bool {
        self.sub(key, channel, fanout).is_some()
    }

    fn sub<S: Clone>(
        &mut self,
        key: Key,
        channel: &str,
        fanout: &Fanout<I, S>,
    ) -> Option<&mut Sub> {
        let crowd = self.crowd(channel, fanout)?;
        self.clients.get_mut(key)?.sub(crowd)
    }

    /// A channel's options.
    pub(super) fn options(&self, channel: &str) -> Result<Arc<Namespace>, Refusal> {
        if channel.is_empty() {
            return Err(Bye::BAD_REQUEST.into());
        }
        if channel.len() > limits::MAX_CHANNEL {
            return Err(Fault::BAD_REQUEST.into());
        }
        Ok(self.settings.namespaces.of(channel).map(Arc::clone).ok_or(Fault::UNKNOWN_CHANNEL)?)
    }

    pub(super) fn subscribe<S: Clone>(
        &mut self,
        key: Key,
        (id, who): (u32, &Arc<Identity>),
        ask: command::Subscribe<'_>,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) -> Result<(), Refusal> {
        let options = self.options(ask.channel)?;
        if ask.kind != 0 {
            return Err(Fault::NOT_AVAILABLE.into());
        }
        let most = self.settings.channels_per_client;
        let crowd = self.crowd(ask.channel, fanout);
        let Some(client) = self.clients.get_mut(key) else { return Ok(()) };
        if let Some(sub) = crowd.and_then(|crowd| client.sub(crowd)) {
            return Err(if sub.is_in() { Fault::SUBSCRIBED.into() } else { Refusal::Wait });
        }
        if client.subs.len() >= most {
            return Err(Fault::LIMIT.into());
        }
        if ask.token.is_empty() && !options.may_subscribe(ask.channel, &who.user) {
            return Err(Fault::DENIED.into());
        }
        let join = self.admission(who, ask)?;
        self.join(key, id, (ask.channel, &options), join, fanout, reach);
        Ok(())
    }

    /// Asks a room's home to let a client in.
    pub(super) fn join<S: Clone>(
        &mut self,
        key: Key,
        id: u32,
        (channel, options): (&str, &Namespace),
        join: Join,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) {
        let expires = self.until(join.ttl);
        let crowd = self.crowd(channel, fanout).unwrap_or_else(|| {
            fanout.make(Arc::from(self.name.as_slice()), Service::Room(options.slow))
        });
        fanout.hold(crowd);
        let place = Fanout::<I, S>::NOWHERE;
        let sub = Sub { crowd, place, at_home: Sub::ASKED, expires };
        if let Some(client) = self.clients.get_mut(key) {
            client.add(sub);
        }
        self.arm(key);
        self.ask_home(key, id, channel, What::Join(join), fanout, reach);
    }

    pub(super) fn unsubscribe<S: Clone>(
        &mut self,
        key: Key,
        id: u32,
        channel: &str,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) -> Result<(), Refusal> {
        if channel.is_empty() {
            return Err(Bye::BAD_REQUEST.into());
        }
        let crowd = self.crowd(channel, fanout);
        let Some(client) = self.clients.get_mut(key) else { return Ok(()) };
        let conn = client.conn;
        if let Some(crowd) = crowd
            && let Some(sub) = client.sub(crowd)
        {
            if !sub.is_in() {
                return Err(Refusal::Wait);
            }
            if let Some(sub) = client.remove(crowd) {
                self.leave(conn, &sub, fanout, reach);
            }
        }
        reply::empty(self.out(key), id, "unsubscribe");
        Ok(())
    }

    /// Ends a subscription that its client did not end, and tells it.
    pub(super) fn put_out<S: Clone>(
        &mut self,
        key: Key,
        crowd: u32,
        why: Out,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) {
        let Some(name) = fanout.name(crowd) else { return };
        let Some(client) = self.clients.get_mut(key) else { return };
        let conn = client.conn;
        let Some(sub) = client.remove(crowd) else { return };
        self.leave(conn, &sub, fanout, reach);
        reply::unsubscribed(self.out(key), channel_of(&name), why);
    }
}
