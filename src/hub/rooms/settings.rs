//! What the operator decides about rooms.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::Verifier;
use crate::hub::namespace::Namespaces;
use crate::limits;

/// Rooms as the operator wants them.
#[derive(Clone, Debug)]
pub struct RoomsSettings {
    /// Checks tokens; without it none is good.
    pub verifier: Option<Arc<Verifier>>,
    /// The cookie in which a request's head may have a token.
    pub token_cookie: Option<String>,
    /// Whether a client without a token is let in, as nobody in particular.
    pub open: bool,
    /// What may be done in which channel.
    pub namespaces: Namespaces,
    /// From one application ping to the next; `None` sends none.
    pub ping_interval: Option<Duration>,
    /// From an application ping to its pong.
    pub pong_timeout: Duration,
    /// From an open connection to its connect command.
    pub connect_timeout: Duration,
    /// From the end of a token's time to the close.
    pub expired_close_delay: Duration,
    /// Bytes that one client has not taken yet, past which nothing is looked up for it.
    pub max_pending: usize,
    /// Channels that one connection may be subscribed to.
    pub channels_per_client: usize,
    /// Bytes of publications that all rooms of all shards keep at most.
    pub history_bytes: usize,
    /// Deliveries that one connection may cause in a second in the mean; 0 is any number.
    pub deliveries_per_client: u32,
}

impl RoomsSettings {
    /// With these namespaces, and everything else as [`limits`] has it. Nobody comes in without a
    /// token.
    pub fn new(namespaces: Namespaces) -> Self {
        Self {
            verifier: None,
            token_cookie: None,
            open: false,
            namespaces,
            ping_interval: Some(limits::PING_INTERVAL),
            pong_timeout: limits::PONG_TIMEOUT,
            connect_timeout: limits::CONNECT_TIMEOUT,
            expired_close_delay: limits::EXPIRED_CLOSE_DELAY,
            max_pending: limits::MAX_PENDING,
            channels_per_client: limits::CHANNELS_PER_CLIENT,
            history_bytes: limits::HISTORY_MEMORY,
            deliveries_per_client: limits::DELIVERIES_PER_CLIENT,
        }
    }
}
