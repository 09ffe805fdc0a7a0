//! What a server's shards are started with, from its configuration and the plan.

use std::sync::Arc;

use crate::config::{Config, Plan};
use crate::conn::{Settings, Side};
use crate::limits;
use crate::shard::{Addresses, Limits, SocketOptions, Spec, default_settings};

/// What the shards' threads are called, with their number behind.
pub(super) const SHARDS: &str = "plimsoll";

pub(super) fn shards(config: &Config, plan: &Plan) -> Spec {
    Spec {
        name: SHARDS.to_owned(),
        shards: plan.shards,
        pin: config.pin,
        settings: Settings {
            max_message: config.max_message,
            max_pending: config.max_pending,
            handshake_timeout: config.handshake_timeout,
            ping_interval: config.ping_interval,
            pong_timeout: config.pong_timeout,
            idle_timeout: config.idle_timeout,
            close_timeout: config.close_timeout,
            ..default_settings(Side::Server)
        },
        limits: Limits {
            group_connections: plan.max_connections,
            shard_connections: plan.per_shard,
            buffered: plan.max_buffered,
            pings: plan.pings_per_shard,
            addresses: config.max_per_address.map(|limit| Arc::new(Addresses::new(limit))),
            accepts_per_turn: limits::ACCEPTS_PER_TURN,
            mails_per_turn: limits::MAILS_PER_TURN,
            read_buffer: config.read_buffer,
        },
        sockets: SocketOptions {
            listen: Some(config.listen),
            backlog: limits::BACKLOG,
            congestion: config.congestion.clone(),
            precise: false,
        },
        mailbox: limits::MAILBOX,
        seed: None,
    }
}
