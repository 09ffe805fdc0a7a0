//! What a room's members may do and what its server keeps: options by namespace, in Centrifugo's
//! words where it has one.
//!
//! The namespace of a channel is what stands before its first `:`; a channel without one is in the
//! namespace whose name is empty. A channel of a namespace that nobody defined is unknown (102).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::limits;

/// Ends the name of a namespace in a channel.
const BOUNDARY: char = ':';
/// Begins a channel that takes a subscription token, whatever the namespace allows.
const PRIVATE: char = '$';
/// Stands before the users, separated by commas, that a channel is limited to.
const USERS: char = '#';

/// What becomes of a member that does not take its messages and is over its water mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Slow {
    /// Its connection is closed with 3008.
    #[default]
    Close,
    /// It is left out until it has caught up, and then gets the newest publication alone.
    Latest,
    /// It is out of the room and told so: `unsubscribe` with 2500, upon which clients subscribe
    /// again and recover what they missed.
    Drop,
}

/// What a client may do, by who it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Allow {
    /// Any client with a user, `allow_..._for_client`.
    pub client: bool,
    /// Any client without a user too, `allow_..._for_anonymous`.
    pub anonymous: bool,
    /// Whoever is subscribed to the channel, `allow_..._for_subscriber`.
    pub subscriber: bool,
}

impl Allow {
    /// Everybody.
    pub const ALL: Self = Self { client: true, anonymous: true, subscriber: true };
    /// Everybody with a user.
    pub const CLIENTS: Self = Self { client: true, anonymous: false, subscriber: true };

    fn lets(self, user: &str, subscribed: bool) -> bool {
        let known = self.client && !user.is_empty();
        known || self.anonymous && user.is_empty() || self.subscriber && subscribed
    }
}

/// The options of one namespace.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option by its own name")]
pub struct Namespace {
    /// Who may subscribe without a token.
    pub subscribe: Allow,
    /// Who may publish.
    pub publish: Allow,
    /// Who may read history.
    pub history: Allow,
    /// Who may see presence.
    pub presence_for: Allow,
    /// Whether presence is kept at all.
    pub presence: bool,
    /// Whether members are told who joins and leaves.
    pub join_leave: bool,
    /// Whether a channel may name its users: `NAME#1,2`.
    pub allow_user_limited_channels: bool,
    /// Publications kept; 0 keeps none.
    pub history_size: usize,
    /// How long each is kept.
    pub history_ttl: Duration,
    /// How long a room that nobody is in keeps its epoch and offset.
    pub history_meta_ttl: Duration,
    /// Whether a member may recover what it missed. Needs a history.
    pub force_recovery: bool,
    /// What becomes of a slow member.
    pub slow: Slow,
    /// Publications that one connection may send in a second in the mean, if it sends them to the
    /// namespace's rooms; 0 is any number. A second's worth may come at once. A connection has one
    /// account: what it sends to other namespaces with a rate counts too.
    pub publish_rate: u32,
}

impl Default for Namespace {
    /// What `--token-hmac-secret` alone gives: whoever has a token may do everything.
    fn default() -> Self {
        Self {
            subscribe: Allow::CLIENTS,
            publish: Allow::CLIENTS,
            history: Allow::CLIENTS,
            presence_for: Allow::CLIENTS,
            presence: true,
            join_leave: false,
            allow_user_limited_channels: false,
            history_size: limits::HISTORY_SIZE,
            history_ttl: limits::HISTORY_TTL,
            history_meta_ttl: limits::HISTORY_META_TTL,
            force_recovery: true,
            slow: Slow::Close,
            publish_rate: 0,
        }
    }
}

impl Namespace {
    /// What `--rooms-open` gives: whoever comes may do everything. Joins and leaves are not told:
    /// in a room of N they would be N² pushes.
    pub fn open() -> Self {
        let (subscribe, publish) = (Allow::ALL, Allow::ALL);
        let (history, presence_for) = (Allow::ALL, Allow::ALL);
        Self { subscribe, publish, history, presence_for, ..Self::default() }
    }

    /// Whether a history is kept.
    pub fn has_history(&self) -> bool {
        self.history_size > 0 && !self.history_ttl.is_zero()
    }

    /// Whether members have a position that they may recover from.
    pub fn is_recoverable(&self) -> bool {
        self.has_history() && self.force_recovery
    }

    /// Whether a user may subscribe to a channel of this namespace without a token.
    pub fn may_subscribe(&self, channel: &str, user: &str) -> bool {
        if channel.starts_with(PRIVATE) {
            return false;
        }
        self.names(channel, user).unwrap_or_else(|| self.subscribe.lets(user, false))
    }

    /// Whether a channel that is limited to users names this one; `None` if it is not limited.
    fn names(&self, channel: &str, user: &str) -> Option<bool> {
        let (_, users) = channel.rsplit_once(USERS).filter(|_| self.allow_user_limited_channels)?;
        Some(!user.is_empty() && users.split(',').any(|one| one == user))
    }

    /// Whether a channel is nobody's in particular, or this user's: what stays out of reach for
    /// those who may not subscribe, whatever the namespace allows.
    fn is_open_to(&self, channel: &str, user: &str, subscribed: bool) -> bool {
        let mine = || !channel.starts_with(PRIVATE) && self.names(channel, user).unwrap_or(true);
        subscribed || mine()
    }

    /// Whether a user may publish.
    pub fn may_publish(&self, channel: &str, user: &str, subscribed: bool) -> bool {
        self.is_open_to(channel, user, subscribed) && self.publish.lets(user, subscribed)
    }

    /// Whether a user may read the history.
    pub fn may_read_history(&self, channel: &str, user: &str, subscribed: bool) -> bool {
        self.is_open_to(channel, user, subscribed) && self.history.lets(user, subscribed)
    }

    /// Whether a user may see who is present.
    pub fn may_see_presence(&self, channel: &str, user: &str, subscribed: bool) -> bool {
        self.is_open_to(channel, user, subscribed) && self.presence_for.lets(user, subscribed)
    }
}

/// All namespaces by name. The one without a name has the channels without a namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Namespaces(HashMap<Box<str>, Arc<Namespace>>);

impl Namespaces {
    /// Only channels without a namespace, with these options.
    pub fn of_one(options: Namespace) -> Self {
        Self(HashMap::from([(Box::from(""), Arc::new(options))]))
    }

    /// Adds a namespace, or replaces it.
    pub fn set(&mut self, name: &str, options: Namespace) {
        self.0.insert(name.into(), Arc::new(options));
    }

    /// The options of a channel; `None` if its namespace is not known.
    pub fn of(&self, channel: &str) -> Option<&Arc<Namespace>> {
        let channel = channel.strip_prefix(PRIVATE).unwrap_or(channel);
        let name = channel.split_once(BOUNDARY).map_or("", |(name, _)| name);
        self.0.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channels_namespace_is_what_stands_before_its_first_colon() {
        let mut all = Namespaces::of_one(Namespace::default());
        all.set("chat", Namespace { history_size: 7, ..Namespace::default() });
        let size = |channel: &str| all.of(channel).map(|options| options.history_size);
        assert_eq!((size("news"), size("chat:42")), (Some(100), Some(7)));
        assert_eq!((size("$chat:42"), size("chat:a:b")), (Some(7), Some(7)));
        assert_eq!((size("talk:42"), size(":x")), (None, Some(100)));
    }

    #[test]
    fn who_may() {
        let closed = Namespace::default();
        assert!(closed.may_subscribe("news", "ann") && !closed.may_subscribe("news", ""));
        assert!(!closed.may_subscribe("$news", "ann"), "a private channel takes a token");
        assert!(closed.may_publish("news", "", true), "whoever was let in may speak");
        assert!(!closed.may_publish("news", "", false));
        assert!(!closed.may_see_presence("news", "", false));
        let open = Namespace::open();
        assert!(open.may_subscribe("news", "") && open.may_read_history("news", "", false));
        let limited = Namespace { allow_user_limited_channels: true, ..Namespace::open() };
        assert!(limited.may_subscribe("talk#ann,bob", "bob"));
        assert!(!limited.may_subscribe("talk#ann,bob", "eve"));
        assert!(!limited.may_subscribe("talk#", ""));
        assert!(open.may_subscribe("talk#ann", "eve"), "a plain name where nobody asked for more");
    }

    #[test]
    fn who_may_not_subscribe_has_no_other_way_in() {
        let limited = Namespace { allow_user_limited_channels: true, ..Namespace::open() };
        for (channel, user, subscribed, may) in [
            ("$news", "ann", false, false),
            ("$news", "ann", true, true),
            ("$talk#ann", "ann", false, false),
            ("talk#ann", "ann", false, true),
            ("talk#ann", "eve", false, false),
            ("talk#ann", "", false, false),
            ("talk#ann", "eve", true, true),
            ("talk", "eve", false, true),
        ] {
            let what = format!("{channel} {user} {subscribed}");
            assert_eq!(limited.may_publish(channel, user, subscribed), may, "{what}");
            assert_eq!(limited.may_read_history(channel, user, subscribed), may, "{what}");
            assert_eq!(limited.may_see_presence(channel, user, subscribed), may, "{what}");
        }
    }

    #[test]
    fn recovery_needs_a_history() {
        assert!(Namespace::default().is_recoverable());
        for without in [
            Namespace { history_size: 0, ..Namespace::default() },
            Namespace { history_ttl: Duration::ZERO, ..Namespace::default() },
            Namespace { force_recovery: false, ..Namespace::default() },
        ] {
            assert!(!without.is_recoverable());
        }
    }
}
