//! Rooms as the configuration has them, in the hub's terms.

use std::sync::Arc;

use super::keys;
use crate::config::{self, Config, ConfigError};
use crate::hub::RoomsSettings;
use crate::hub::namespace::{Allow, Namespace, Namespaces, Slow};

/// What the hubs are to be told of rooms; `None`: there are none.
pub(super) fn settings(config: &Config) -> Result<Option<RoomsSettings>, ConfigError> {
    let rooms = &config.rooms;
    let verifier = keys::verifier(&rooms.tokens)?;
    if !rooms.are_wanted() {
        return Ok(None);
    }
    let nameless = if rooms.open { Namespace::open() } else { Namespace::default() };
    let mut namespaces = Namespaces::of_one(nameless);
    for options in &rooms.namespaces {
        namespaces.set(&options.name, namespace(options));
    }
    Ok(Some(RoomsSettings {
        verifier: verifier.map(Arc::new),
        token_cookie: rooms.tokens.cookie.clone(),
        open: rooms.open,
        max_pending: config.max_pending,
        ..RoomsSettings::new(namespaces)
    }))
}

fn namespace(options: &config::Namespace) -> Namespace {
    let config::Namespace {
        name: _,
        subscribe,
        publish,
        history,
        presence_for,
        presence,
        join_leave,
        allow_user_limited_channels,
        force_recovery,
        history_size,
        history_ttl,
        history_meta_ttl,
        slow,
        publish_rate,
    } = options.clone();
    Namespace {
        subscribe: allow(subscribe),
        publish: allow(publish),
        history: allow(history),
        presence_for: allow(presence_for),
        presence,
        join_leave,
        allow_user_limited_channels,
        history_size,
        history_ttl: history_ttl.unwrap_or_default(),
        history_meta_ttl: history_meta_ttl.unwrap_or(Namespace::default().history_meta_ttl),
        force_recovery,
        slow: match slow {
            config::Slow::Close => Slow::Close,
            config::Slow::Latest => Slow::Latest,
            config::Slow::Drop => Slow::Drop,
        },
        publish_rate,
    }
}

fn allow(config::Allow { client, anonymous, subscriber }: config::Allow) -> Allow {
    Allow { client, anonymous, subscriber }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Rooms, Secret, Tokens};

    fn made(rooms: Rooms) -> Option<RoomsSettings> {
        settings(&Config { rooms, ..Config::default() }).unwrap()
    }

    fn with_secret(namespaces: Vec<config::Namespace>) -> Rooms {
        let tokens = Tokens { hmac_secret: Some(Secret::from("s")), ..Tokens::default() };
        Rooms { open: false, tokens, namespaces }
    }

    #[test]
    fn without_a_key_there_are_no_rooms_unless_they_are_open() {
        assert!(made(Rooms::default()).is_none());
        let open = made(Rooms { open: true, ..Rooms::default() }).unwrap();
        assert!(open.open && open.verifier.is_none());
        assert!(open.namespaces.of("a").unwrap().may_subscribe("a", ""));
        let keyed = made(with_secret(Vec::new())).unwrap();
        assert!(!keyed.open && keyed.verifier.is_some());
        let options = keyed.namespaces.of("a").unwrap();
        assert!(options.may_subscribe("a", "ann") && !options.may_subscribe("a", ""));
    }

    #[test]
    fn what_a_namespace_does_not_name_is_off() {
        let chat = config::Namespace {
            name: "chat".into(),
            publish: config::Allow { subscriber: true, ..config::Allow::default() },
            slow: config::Slow::Drop,
            history_size: 3,
            history_ttl: Some(Duration::from_secs(9)),
            ..config::Namespace::default()
        };
        let nameless = config::Namespace::default();
        let rooms = made(with_secret(vec![chat, nameless])).unwrap();
        let options = rooms.namespaces.of("chat:1").unwrap();
        assert!(
            options.may_publish("chat:1", "ann", true)
                && !options.may_publish("chat:1", "ann", false)
        );
        assert!(!options.may_subscribe("chat:1", "ann") && !options.presence);
        assert!(!options.is_recoverable() && options.has_history());
        assert_eq!((options.slow, options.history_size), (Slow::Drop, 3));
        assert_eq!(options.history_ttl, Duration::from_secs(9));
        let none = rooms.namespaces.of("news").unwrap();
        assert!(!none.may_subscribe("news", "ann") && !none.has_history());
        assert!(rooms.namespaces.of("other:1").is_none());
    }
}
