//! Rooms over several shards in one thread: what clients say and hear, bounded mailboxes, any
//! interleaving, the time an argument.

#![allow(clippy::unwrap_used)]

mod commands;
mod recovery;
mod slow;

pub(super) mod world;
