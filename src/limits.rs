//! Every bound in one place: its default, its unit, and why it has that value.
//!
//! The lower floors get these numbers as constructor arguments and never look here themselves.

use std::time::Duration;

/// From accept to the last byte of the 101. Absolute: a peer that trickles its head gains nothing.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a request or response head. Browsers with large cookies stay under 8 KiB; proxies
/// in common use refuse more.
pub const MAX_HEAD: usize = 8 * 1024;

/// Header fields in one head.
pub const MAX_HEADERS: usize = 64;

/// Bytes of one message, all fragments together.
pub const MAX_MESSAGE: usize = 1 << 20;

/// What a frame costs of the message budget at least, in bytes: empty fragments are not free.
pub const FRAME_COST: usize = 64;

/// High-water mark of bytes that one peer has not taken yet. An echo peer's reads pause above it;
/// a broadcast member above it is closed.
pub const MAX_PENDING: usize = 256 * 1024;

/// Pongs owed to one peer. Past it the newest ping alone is answered, as RFC 6455 5.5.3 allows.
pub const PONG_QUEUE: usize = 16;

/// From the last byte heard to the server's ping.
pub const PING_INTERVAL: Duration = Duration::from_secs(25);

/// Pings a second that the shards of one core begin in the mean at most, where nobody asked for an
/// interval: a ping with its pong takes the server some 10 us, so they stay near a twentieth of the
/// core. Two cores ping 250,000 connections every 25 s, a million every 100 s.
pub const PINGS_PER_CORE: u32 = 5_000;

/// From the server's ping to its pong, or any other byte.
pub const PONG_TIMEOUT: Duration = Duration::from_secs(8);

/// From our close frame to the peer's, from the last byte to FIN, and from a refusal to its FIN.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// From SIGTERM to the end of the process: twice the close handshake.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Mails that one shard may owe to its reading. Past it the sender pauses.
pub const MAILBOX: usize = 4096;

/// Mails read in one turn, so that a storm of them leaves room for reads.
pub const MAILS_PER_TURN: usize = 256;

/// Connections taken from a listener in one turn: a storm of accepts leaves room for echoes.
pub const ACCEPTS_PER_TURN: usize = 64;

/// The shard's one read buffer, in bytes. Half of a common L2: 16 KiB was 17 % slower at 16 KiB
/// messages, 512 KiB fell out of L2.
pub const READ_BUFFER: usize = 128 * 1024;

/// Completed connections the kernel queues for one listener. 128 overflowed in a storm of 50,000
/// connects a second; the kernel cuts this to `net.core.somaxconn`.
pub const BACKLOG: i32 = 4096;

/// Resolution of a connection's coarse deadline (handshake, ping, close).
pub const TICK: Duration = Duration::from_millis(250);

/// Shards that one process may have: far above any machine's cores, far below any limit of threads.
pub const MAX_SHARDS: usize = 1024;

/// Descriptors of one shard's table that connections leave free: polls, wakers, listener, spare.
pub const RESERVED_DESCRIPTORS: usize = 100;

/// Connections that are planned for one shard when its table holds 20,000 descriptors: the rest is
/// slack for the uneven spread of `SO_REUSEPORT`.
pub const PLANNED_SHARE: f64 = 0.9;

/// Places of members that broadcasts walk in one turn, empty ones too. At 2 us for each delivery a
/// turn stays near 2 ms, whatever the room.
pub const DELIVERIES_PER_TURN: usize = 1024;

/// Places of one room's members before the next room has its slice.
pub const DELIVERIES_PER_SLICE: usize = 256;

/// Bytes of broadcasts handed to sockets in one turn: about 2 ms of copying.
pub const DELIVERY_BYTES_PER_TURN: usize = 8 << 20;

/// Bytes of one published block; a turn that publishes more to a path makes several, so that a
/// member's water mark is looked at between them.
pub const BLOCK: usize = 64 * 1024;

/// Bytes that one shard has published and that some shard has not walked its members with yet.
/// Past it publishers pause.
pub const FANOUT_BACKLOG: usize = 16 << 20;

/// Between two tries of a full mailbox.
pub const MAIL_RETRY: Duration = Duration::from_millis(1);

/// Bytes of the name of a broadcast path.
pub const MAX_ROOM_NAME: usize = 255;

/// Letters to the homes of rooms that a shard may have without an answer. Past it the connections
/// that would send more are not read.
pub const ASKED: usize = 2048;

/// Bytes of commands that clients of rooms have sent and that were not carried out yet. Past it
/// they are not read.
pub const COMMAND_BACKLOG: usize = 1 << 20;

/// Bytes of commands carried out in one turn: some 500 of them, 1 to 2 ms.
pub const COMMAND_BYTES_PER_TURN: usize = 64 * 1024;

/// Commands in one message.
pub const COMMANDS_PER_MESSAGE: usize = 1024;

/// Nesting of a command's JSON, its data included: beyond any sane message.
pub const JSON_DEPTH: usize = 64;

/// Bytes of a channel's name, as Centrifugo has it.
pub const MAX_CHANNEL: usize = 255;

/// Channels that one connection may be subscribed to, as Centrifugo has it.
pub const CHANNELS_PER_CLIENT: usize = 128;

/// Publications that a room keeps, and how long, where nobody said otherwise.
pub const HISTORY_SIZE: usize = 100;
/// See [`HISTORY_SIZE`].
pub const HISTORY_TTL: Duration = Duration::from_mins(5);

/// How long a room that nobody is in keeps its epoch and offset: who was away so long and missed
/// nothing recovers.
pub const HISTORY_META_TTL: Duration = Duration::from_hours(1);

/// Bytes of publications that one room keeps at most, whatever its namespace says.
pub const HISTORY_BYTES: usize = 4 << 20;

/// Bytes of publications that all rooms of the process keep at most, each shard its part: past it
/// a room that gets one more lets go of its oldest. Beside [`MAX_BUFFERED`], which is for peers.
pub const HISTORY_MEMORY: usize = 256 << 20;

/// Publications in one answer about history, as Centrifugo has it.
pub const HISTORY_ANSWER: usize = 300;

/// Bytes of publications in one answer, or of one answer about presence. A history is cut there,
/// after one publication at least; a member that missed more is told that it has not recovered.
pub const ANSWER_BYTES: usize = 1 << 20;

/// Questions about rooms that one client may have without an answer; its next one waits.
pub const QUESTIONS: u16 = 16;

/// Rooms that nobody is in and whose position one shard keeps; past it the oldest is forgotten.
pub const IDLE_ROOMS: usize = 100_000;

/// Members in one answer about presence.
pub const PRESENCE_ANSWER: usize = 10_000;

/// From an open connection to its connect command.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// From the end of a token's time to 3005 (2501 for a subscription's): what a client needs to get a
/// new one, as Centrifugo has it.
pub const EXPIRED_CLOSE_DELAY: Duration = Duration::from_secs(25);

/// Between two looks at members that are behind.
pub const BEHIND_RETRY: Duration = Duration::from_millis(50);

/// Bytes that a member may still owe when it counts as having caught up.
pub const CAUGHT_UP: usize = 16 * 1024;

/// Deliveries that the publications of one connection may cause in a second in the mean, and at
/// once: two rooms of 50,000, twenty times a second.
pub const DELIVERIES_PER_CLIENT: u32 = 2_000_000;
/// Bytes of a token: as much as one request's head could carry.
pub const MAX_TOKEN: usize = MAX_HEAD;

/// Seconds by which an issuer's clock may be ahead of ours: from so long before its `nbf` a token
/// is taken. Its `exp` has no leeway.
pub const TOKEN_LEEWAY_S: u64 = 60;

/// Bytes of one request to the admin API.
pub const MAX_API_BODY: usize = 4 << 20;

/// From the head of a request to the admin API to its last byte.
pub const API_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Rooms that one broadcast of the admin API may name.
pub const BROADCAST_CHANNELS: usize = 10_000;

/// From the admin plane's question to a shard's answer. A shard's turn takes milliseconds.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes of a configuration file or a file of keys.
pub const MAX_FILE: usize = 1 << 20;

/// Bytes held for slow peers and half-received messages by the whole process, at most.
pub const MAX_BUFFERED: usize = 1 << 30;

const _: () = assert!(PONG_QUEUE * 127 < MAX_PENDING, "the pong reserve fits under the water mark");
const _: () = assert!(MAX_HEAD < READ_BUFFER, "a whole head fits in one read");
