//! What the admin plane asks of the hubs, and their answers: the one thing that both know.
//!
//! A leaf. A [`Call`] travels to a shard as mail. Its [`Reply`] goes back over a channel that parks
//! on a futex: a shard's descriptor table is its own, so nothing that wakes by writing to a
//! descriptor of another thread may be used on it, and no asynchronous runtime's channel is.
//!
//! | question | who is asked |
//! |---|---|
//! | about one room: publish, presence, history | the room's [`home`] |
//! | about users, or all rooms | every shard, each for itself |

use std::fmt;
use std::sync::mpsc;

/// The shard among `shards` (at least 1) that owns a room's offsets, history and presence: by
/// FNV-1a of its name, which needs no seed that two threads would have to share.
pub fn home(channel: &str, shards: usize) -> usize {
    let hash = channel.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // The low bits are the weakest.
    ((hash ^ (hash >> 32)) % shards as u64) as usize
}

/// How a connection ends that is closed with no code of the asker's own: by Centrifugo's table its
/// client does not come back by itself.
pub const FORCED: (u16, &str) = (3503, "force disconnect");

/// One question to one shard.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub ask: Ask,
    /// Where the answer goes.
    pub reply: Reply,
}

/// A question. Texts named JSON are valid JSON on one line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// To the home: publishes in a room. Answered by [`Answer::Published`].
    Publish {
        /// The room.
        channel: Box<str>,
        /// JSON.
        data: Box<str>,
        /// Whether it stays out of the history.
        skip_history: bool,
    },
    /// To every shard: subscribes the user's connections, or the one of `client`, to a room as the
    /// server's own wish. Answered by [`Answer::Reached`].
    Subscribe {
        /// Whose connections.
        user: Box<str>,
        /// The room.
        channel: Box<str>,
        /// Only this connection.
        client: Option<Box<str>>,
        /// JSON, shown to others in the room.
        info: Option<Box<str>>,
    },
    /// To every shard: takes the user's connections, or the one of `client`, out of a room.
    /// Answered by [`Answer::Reached`].
    Unsubscribe {
        /// Whose connections.
        user: Box<str>,
        /// The room.
        channel: Box<str>,
        /// Only this connection.
        client: Option<Box<str>>,
    },
    /// To every shard: closes the user's connections, or the one of `client`. Answered by
    /// [`Answer::Reached`].
    Disconnect {
        /// Whose connections.
        user: Box<str>,
        /// Only this connection.
        client: Option<Box<str>>,
        /// All but these connections.
        except: Vec<Box<str>>,
        /// The close code, 3000 to 4999.
        code: u16,
        /// The close reason, 123 bytes at most.
        reason: Box<str>,
    },
    /// To the home: who is in a room. Answered by [`Answer::Presence`].
    Presence {
        /// The room.
        channel: Box<str>,
    },
    /// To the home: how many are in a room. Answered by [`Answer::PresenceStats`].
    PresenceStats {
        /// The room.
        channel: Box<str>,
    },
    /// To the home: what was published in a room. Answered by [`Answer::History`].
    History {
        /// The room.
        channel: Box<str>,
        /// Publications at most; 0: only the position; `None`: all.
        limit: Option<u32>,
        /// What follows this position, or precedes it if `reverse`.
        since: Option<Position>,
        /// The latest first.
        reverse: bool,
    },
    /// To the home: forgets a room's publications; its position stays. Answered by
    /// [`Answer::Done`].
    HistoryRemove {
        /// The room.
        channel: Box<str>,
    },
    /// To every shard: the rooms with members on it. Answered by [`Answer::Channels`].
    Channels {
        /// Only those whose names fit: `*` stands for any run of characters, `?` for one.
        pattern: Option<Box<str>>,
    },
    /// To every shard: what it holds. Answered by [`Answer::Info`].
    Info,
}

/// A place in a room's stream.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Position {
    /// Of the publication before; 0 before the first.
    pub offset: u64,
    /// The stream's life: offsets of different epochs have nothing to do with each other.
    pub epoch: Box<str>,
}

/// A question's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Done, and nothing to say of it.
    Done,
    /// Published; its position, where the room keeps a history.
    Published(Option<Position>),
    /// So many of this shard's connections were concerned.
    Reached(u64),
    /// Who is in the room, over all shards.
    Presence(Vec<Member>),
    /// How many are in the room, over all shards.
    PresenceStats {
        /// Connections.
        clients: u64,
        /// Different users.
        users: u64,
    },
    /// What was published.
    History {
        /// In the order asked for.
        publications: Vec<Publication>,
        /// The room's newest position.
        top: Position,
    },
    /// Rooms with members on this shard, and how many.
    Channels(Vec<(Box<str>, u64)>),
    /// What this shard holds.
    Info(Load),
}

/// A connection in a room.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Member {
    /// The connection.
    pub client: Box<str>,
    /// Its user.
    pub user: Box<str>,
    /// JSON: `info` of the connection's token.
    pub conn_info: Option<Box<str>>,
    /// JSON: `info` of the subscription's token.
    pub chan_info: Option<Box<str>>,
}

/// A publication in a room's history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publication {
    /// Its place in the stream.
    pub offset: u64,
    /// JSON.
    pub data: Box<str>,
    /// Who published it; `None`: the admin API.
    pub info: Option<Member>,
}

/// What a shard holds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Load {
    /// Connections that speak the rooms' protocol.
    pub clients: u64,
    /// Different users among them.
    pub users: u64,
    /// Rooms with members here.
    pub channels: u64,
    /// Memberships here.
    pub subscriptions: u64,
}

/// Why there is no answer, in the codes and words of Centrifugo's API.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Denied {
    /// 100: the shard gave no answer.
    #[error("internal server error")]
    Internal,
    /// 102: its namespace is not defined, or the name is no room's.
    #[error("unknown channel")]
    UnknownChannel,
    /// 107: the question makes no sense.
    #[error("bad request")]
    BadRequest,
    /// 108: the room's namespace has this switched off.
    #[error("not available")]
    NotAvailable,
    /// 112: the position asked for is of another epoch.
    #[error("unrecoverable position")]
    UnrecoverablePosition,
}

impl Denied {
    /// Its number in Centrifugo's table.
    pub fn code(self) -> u32 {
        match self {
            Self::Internal => 100,
            Self::UnknownChannel => 102,
            Self::BadRequest => 107,
            Self::NotAvailable => 108,
            Self::UnrecoverablePosition => 112,
        }
    }
}

/// What comes back of a call.
pub type Outcome = Result<Answer, Denied>;

/// An answer and the number of the question.
pub type Answered = (u64, Outcome);

/// Where one answer goes, once. Dropped without an answer it says [`Denied::Internal`]: nobody
/// waits for a shard that has ended.
pub struct Reply {
    number: u64,
    to: Option<mpsc::Sender<Answered>>,
}

impl Reply {
    /// To this channel, under this number.
    pub fn new(number: u64, to: mpsc::Sender<Answered>) -> Self {
        Self { number, to: Some(to) }
    }

    /// Sends the answer. Whoever asked may be gone: then it is nobody's.
    pub fn send(mut self, outcome: Outcome) {
        self.deliver(outcome);
    }

    fn deliver(&mut self, outcome: Outcome) {
        if let Some(to) = self.to.take() {
            let _ = to.send((self.number, outcome));
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.deliver(Err(Denied::Internal));
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("number", &self.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_has_one_home_and_rooms_spread() {
        let shards = 7;
        let mut rooms = [0_u32; 7];
        for n in 0..7_000 {
            let name = format!("chat:{n}");
            assert_eq!(home(&name, shards), home(&name, shards));
            rooms[home(&name, shards)] += 1;
        }
        assert!(rooms.iter().all(|&count| (800..1200).contains(&count)), "{rooms:?}");
        assert_eq!(home("", 1), 0);
    }

    #[test]
    fn a_reply_is_sent_once_and_a_lost_one_says_so() {
        let (to, from) = mpsc::channel();
        Reply::new(7, to.clone()).send(Ok(Answer::Done));
        drop(Reply::new(8, to.clone()));
        drop(to);
        let all: Vec<_> = from.into_iter().collect();
        assert_eq!(all, [(7, Ok(Answer::Done)), (8, Err(Denied::Internal))]);
    }

    #[test]
    fn who_asked_may_be_gone() {
        let (to, from) = mpsc::channel();
        drop(from);
        Reply::new(1, to).send(Ok(Answer::Done));
    }
}
