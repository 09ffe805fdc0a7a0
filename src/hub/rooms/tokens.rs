//! What tokens say: who a client is, which rooms it may be in, and until when.
//!
//! No token, and nothing of what is wrong with one, reaches a log from here.

use std::sync::Arc;

use super::Rooms;
use super::client::{Client, Phase};
use super::clock::Clock;
use super::commands::Refusal;
use super::identity::Identity;
use super::letter::{Join, Key};
use super::reply::{self, Bye, Fault};
use crate::auth::{ConnectionClaims, SubscriptionClaims, TokenError, Verifier};
use crate::hub::command;
use crate::hub::fanout::{Fanout, Reach};

/// Seconds that a token is good for yet; `None` is for ever.
fn ttl(expires: Option<u64>) -> Option<u32> {
    let left = expires?.saturating_sub(Clock::unix());
    Some(u32::try_from(left).unwrap_or(u32::MAX))
}

impl<I: Copy + PartialEq> Rooms<I> {
    fn verifier(&self) -> Option<Arc<Verifier>> {
        self.settings.verifier.clone()
    }

    /// Who a connection's token says it is.
    fn connection(&self, token: &str, expired: Refusal) -> Result<ConnectionClaims, Refusal> {
        let verifier = self.verifier().ok_or(Bye::INVALID_TOKEN)?;
        verifier.connection(token, Clock::unix()).map_err(|error| match error {
            TokenError::Expired => expired,
            TokenError::Invalid(_) => Bye::INVALID_TOKEN.into(),
        })
    }

    /// The connect command, and the rooms that its token puts it in.
    pub(super) fn connect<S: Clone>(
        &mut self,
        key: Key,
        id: u32,
        ask: command::Connect<'_>,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) -> Result<(), Refusal> {
        let from_head = match self.clients.get_mut(key).map(|client| &mut client.phase) {
            Some(Phase::Silent(token)) => token.take(),
            _ => None,
        };
        let token = Some(ask.token).filter(|token| !token.is_empty());
        let Some(token) = token.or(from_head.as_deref()) else {
            if !self.settings.open {
                return Err(Bye::INVALID_TOKEN.into());
            }
            let who = Arc::new(Identity::new(self.random(), Box::from(""), None));
            self.let_in(key, id, &who, None);
            return Ok(());
        };
        let claims = self.connection(token, Fault::TOKEN_EXPIRED.into());
        if let (Err(Refusal::Fault(_)), Some(client)) = (&claims, self.clients.get_mut(key)) {
            client.phase = Phase::Refused;
        }
        let claims = claims?;
        let who = Identity::new(self.random(), claims.user.into(), claims.info);
        let who = Arc::new(who);
        self.let_in(key, id, &who, ttl(claims.expires));
        for channel in claims.channels.iter().take(self.settings.channels_per_client) {
            // A room that is not served is no reason to turn its client away.
            if let Ok(options) = self.options(channel)
                && !self.has_asked(key, channel, fanout)
            {
                let who = Arc::clone(&who);
                let join = Join { who, info: None, recover: None, or_nothing: false, ttl: None };
                self.join(key, 0, (channel, &options), join, fanout, reach);
            }
        }
        Ok(())
    }

    /// A new token for the connection.
    pub(super) fn refresh(
        &mut self,
        key: Key,
        (id, who): (u32, &Arc<Identity>),
        token: &str,
    ) -> Result<(), Refusal> {
        if token.is_empty() {
            return Err(Bye::BAD_REQUEST.into());
        }
        if self.settings.verifier.is_none() {
            return Err(Fault::NOT_AVAILABLE.into());
        }
        let claims = self.connection(token, Bye::EXPIRED.into())?;
        if *claims.user != *who.user {
            return Err(Bye::INVALID_TOKEN.into());
        }
        let ttl = ttl(claims.expires);
        let until = self.until(ttl);
        if let Some(client) = self.clients.get_mut(key) {
            client.until = until;
        }
        self.arm(key);
        reply::result(self.out(key), id, "refresh", |fields| {
            let out = fields.key("client");
            out.push(b'"');
            who.write_id(out);
            out.push(b'"');
            fields.text("version", super::VERSION);
            fields.ttl(ttl);
        });
        Ok(())
    }

    /// What a subscription's token says, if it is this client's and this channel's.
    pub(super) fn subscription(
        &self,
        token: &str,
        who: &Identity,
        channel: &str,
        expired: Fault,
    ) -> Result<SubscriptionClaims, Refusal> {
        let verifier = self.verifier().ok_or(Fault::DENIED)?;
        let claims = verifier.subscription(token, Clock::unix()).map_err(|error| match error {
            TokenError::Expired => expired,
            TokenError::Invalid(_) => Fault::DENIED,
        })?;
        let mut id = Vec::new();
        who.write_id(&mut id);
        let mine = claims.client.as_ref().is_none_or(|client| client.as_bytes() == id);
        if !mine || *claims.user != *who.user || claims.channel != channel {
            return Err(Fault::DENIED.into());
        }
        Ok(claims)
    }

    /// What a client that wants in may, by its token or without one.
    pub(super) fn admission(
        &self,
        who: &Arc<Identity>,
        ask: command::Subscribe<'_>,
    ) -> Result<Join, Refusal> {
        let (info, ttl) = if ask.token.is_empty() {
            (None, None)
        } else {
            let claims = self.subscription(ask.token, who, ask.channel, Fault::TOKEN_EXPIRED)?;
            (claims.info, ttl(claims.expires))
        };
        let position = || super::letter::Position { offset: ask.offset, epoch: ask.epoch.into() };
        let recover = ask.recover.then(position);
        let or_nothing = ask.flags & super::commands::REJECT_UNRECOVERED != 0;
        Ok(Join { who: Arc::clone(who), info, recover, or_nothing, ttl })
    }

    /// A new token for a subscription.
    pub(super) fn sub_refresh<S: Clone>(
        &mut self,
        key: Key,
        (id, who): (u32, &Arc<Identity>),
        (channel, token): (&str, &str),
        fanout: &Fanout<I, S>,
    ) -> Result<(), Refusal> {
        if channel.is_empty() {
            return Err(Bye::BAD_REQUEST.into());
        }
        let crowd = self.crowd(channel, fanout);
        let crowd = crowd.filter(|_| self.is_member(key, channel, fanout)).ok_or(Fault::DENIED)?;
        if token.is_empty() {
            return Err(Fault::BAD_REQUEST.into());
        }
        let claims = self.subscription(token, who, channel, Fault::EXPIRED)?;
        let ttl = ttl(claims.expires);
        let expires = self.until(ttl);
        if let Some(sub) = self.clients.get_mut(key).and_then(|client| client.sub(crowd)) {
            sub.expires = expires;
        }
        self.arm(key);
        reply::result(self.out(key), id, "sub_refresh", |fields| fields.ttl(ttl));
        Ok(())
    }

    /// Sets a client's deadline.
    pub(super) fn arm(&mut self, key: Key) {
        if let Some(next) = self.clients.get_mut(key).map(|client: &mut Client<I>| client.next()) {
            self.wheel.arm(key.index, next.tick());
        }
    }
}
