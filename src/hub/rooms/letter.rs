//! What shards say to each other about rooms.

use std::sync::Arc;

use super::identity::Identity;
use crate::shard::ConnId;

/// A room's name as it stands in the registries: `#`, then the channel's.
pub(in crate::hub) type Channel = Arc<[u8]>;

/// Names a client of one shard for as long as it is there, and nothing after that.
pub(in crate::hub) type Key = ConnId;

/// A channel's name as a room's.
pub(super) fn room_name(channel: &str, name: &mut Vec<u8>) {
    name.clear();
    name.push(b'#');
    name.extend_from_slice(channel.as_bytes());
}

/// The channel of a room.
pub(in crate::hub) fn channel_of(name: &[u8]) -> &str {
    // It was text when the room was made.
    name.get(1..).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default()
}

/// To a room's home.
#[derive(Debug)]
pub(in crate::hub) struct Ask {
    pub(super) from: Ticket,
    pub(super) channel: Channel,
    pub(super) what: What,
}

/// Who asked, and what it counts for until the answer is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) shard: u32,
    pub(super) client: Key,
    /// The command's id.
    pub(super) id: u32,
    /// Bytes that the client's shard counts as asked.
    pub(super) cost: u32,
}

/// What is asked of a room.
#[derive(Debug)]
pub(super) enum What {
    Join(Join),
    /// The member that has this place. It gets no answer.
    Leave(u32),
    Publish {
        data: Box<[u8]>,
        by: Arc<Identity>,
    },
    Presence,
    PresenceStats,
    History {
        limit: i64,
        since: Option<Position>,
        reverse: bool,
    },
}

/// An epoch and an offset that a client knows; an empty epoch is any.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Position {
    pub(super) offset: u64,
    pub(super) epoch: Box<str>,
}

/// A client that wants in.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) who: Arc<Identity>,
    /// JSON, from the subscription's token.
    pub(super) info: Option<Box<str>>,
    /// Where it was before.
    pub(super) recover: Option<Position>,
    /// Rather an error than a subscription that did not recover.
    pub(super) or_nothing: bool,
    /// Seconds that its token is good for.
    pub(super) ttl: Option<u32>,
}

/// From a room's home.
#[derive(Debug)]
pub(in crate::hub) struct Answer {
    pub(super) client: Key,
    pub(super) cost: u32,
    pub(super) said: Said,
}

#[derive(Debug)]
pub(super) enum Said {
    /// A reply as it goes to the client.
    Reply(Box<[u8]>),
    /// The command with this id was a publication, which so many members will get.
    Published { id: u32, deliveries: u32 },
    /// The client is a member, at this place; what it is told of that. Blocks that come behind this
    /// letter are for it, those before are not.
    Joined { channel: Channel, place: u32, reply: Box<[u8]> },
    /// It is not, and why.
    Refused { channel: Channel, reply: Box<[u8]> },
}
