//! Floor 0: bytes and what they mean, by RFC 6455. No I/O, no clock, no sockets.

pub mod close;
pub mod frame;
pub mod handshake;
pub mod mask;
pub mod utf8;
pub mod violation;
