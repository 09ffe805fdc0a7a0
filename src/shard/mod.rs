//! Floor 2: one pinned thread with one poll, one slab and one read buffer, and the [`App`] on top
//! of it.
//!
//! [`reactor`] is the loop; it knows no protocol and no service. [`net`] is what it needs from a
//! network, [`sockets`] the real one. [`mailbox`] is the only door between threads.

pub mod app;
pub mod context;
pub mod counters;
pub mod mailbox;
pub mod slab;
pub mod wheel;

mod accepting;
mod addresses;
mod core;
mod defaults;
mod fanout;
pub mod group;
mod leaving;
pub mod net;
mod os;
mod pace;
pub mod peers;
pub mod reactor;
pub mod shaped;
mod slot;
pub mod sockets;
mod turn;

#[cfg(test)]
mod tests;

pub use self::{
    addresses::{Addresses, Counted},
    app::{App, Welcome},
    context::Cx,
    counters::{Counter, Counters},
    defaults::default_settings,
    fanout::OnSlow,
    group::{Group, Launch, Spec},
    mailbox::{Command, Post},
    net::Net,
    os::private_tables,
    peers::{Dial, Peer, Peers},
    reactor::{Limits, Place, Reactor},
    shaped::{Segments, Shape, Shaped, Trickle},
    slab::ConnId,
    sockets::SocketOptions,
};
