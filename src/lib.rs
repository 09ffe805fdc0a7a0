//! Plimsoll: the load line for WebSocket systems.
//!
//! The house has floors, and imports point down only:
//!
//! ```text
//! server.rs          assembly and ordered shutdown
//! control/  hub/     the admin plane | the server's App (echo, raw broadcast, rooms)
//! shard/             one pinned thread: one poll, one slab, one read buffer
//! conn/              one connection as a state machine without I/O; time is an argument
//! wire/              bytes <-> meaning: frames, masks, UTF-8, heads, close codes
//! auth, calls        leaves: who may, by token; what the admin plane may ask of the hub
//! config, limits     leaves: what was asked for, and every bound with its reason
//! ```
//!
//! # Invariants
//!
//! - `wire` and `conn` open no socket, read no clock and start no thread.
//! - One connection's error never ends a shard. A full mailbox is a counted outcome, never a wait.
//! - A data-plane thread does not allocate per message in steady state, takes no lock, and writes
//!   no log line per message. A broadcast allocates per block, which is what came to a path in one
//!   turn: the frames and their counts once, and one reference on each shard with members.
//! - `unsafe` stands in the SIMD bodies of `wire/mask` and in `shard/os`, nowhere else.
//!
//! # Deliberate absences
//!
//! No TLS, no permessage-deflate and no async runtime on the data plane.

pub mod auth;
pub mod calls;
pub mod config;
pub mod conn;
#[cfg(all(feature = "server", not(loom)))]
pub mod control;
#[cfg(not(loom))]
pub mod hub;
pub mod limits;
#[cfg(not(loom))]
pub mod server;
pub mod shard;
pub mod wire;
