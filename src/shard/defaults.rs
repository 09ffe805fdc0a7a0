//! What a connection lives under where nobody asked for anything else.

use crate::conn::{Settings, Side};
use crate::limits;

/// The bounds of [`limits`] for one side. No pings and no idle timeout: who keeps time over its
/// connections says so.
pub fn default_settings(side: Side) -> Settings {
    Settings {
        side,
        max_message: limits::MAX_MESSAGE,
        max_pending: limits::MAX_PENDING,
        max_head: limits::MAX_HEAD,
        pong_queue: limits::PONG_QUEUE,
        frame_cost: limits::FRAME_COST,
        handshake_timeout: limits::HANDSHAKE_TIMEOUT,
        ping_interval: None,
        pong_timeout: limits::PONG_TIMEOUT,
        idle_timeout: None,
        close_timeout: limits::CLOSE_TIMEOUT,
    }
}
