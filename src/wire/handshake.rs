//! The opening handshake (RFC 6455 4): request and response heads, both sides.
