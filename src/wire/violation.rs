//! One variant for each sin a peer can commit against RFC 6455, and the one map to a close code.

use super::close::CloseCode;

/// What a peer did that ends its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Violation {
    /// RFC 6455 5.2: RSV1-3 must be 0 unless an extension was negotiated.
    #[error("reserved bits set without a negotiated extension")]
    ReservedBits,
    /// RFC 6455 5.2: opcodes 3-7 and 11-15 are reserved.
    #[error("reserved opcode {0:#x}")]
    ReservedOpcode(u8),
    /// RFC 6455 5.1: a server fails a client frame that is not masked.
    #[error("client frame not masked")]
    NotMasked,
    /// RFC 6455 5.1: a client fails a masked server frame.
    #[error("server frame masked")]
    Masked,
    /// RFC 6455 5.2: the minimal number of bytes must be used to encode the length.
    #[error("payload length not in its shortest form")]
    LengthNotShortest,
    /// RFC 6455 5.2: the most significant bit of a 64-bit length must be 0.
    #[error("payload length with its top bit set")]
    LengthTopBit,
    /// RFC 6455 5.5: control frames must not be fragmented.
    #[error("control frame fragmented")]
    ControlFragmented,
    /// RFC 6455 5.5: control frames carry 125 bytes at most.
    #[error("control frame longer than 125 bytes")]
    ControlTooLong,
    /// RFC 6455 5.4: a continuation needs a message begun before it.
    #[error("continuation frame without a message to continue")]
    StrayContinuation,
    /// RFC 6455 5.4: fragments of two messages must not interleave.
    #[error("new message inside a fragmented one")]
    InterleavedMessage,
    /// RFC 6455 8.1: text must be valid UTF-8.
    #[error("text is not valid UTF-8")]
    InvalidUtf8,
    /// The message, or the overhead of its fragments, is over the limit.
    #[error("message over its limit of {limit} bytes (each frame counts for 64 at least)")]
    MessageTooBig {
        /// The limit in bytes.
        limit: usize,
    },
    /// RFC 6455 5.5.1: a close body is empty or begins with a two-byte code.
    #[error("close frame with a body of one byte")]
    CloseBodyTooShort,
    /// RFC 6455 7.4: the code must not be sent in a frame.
    #[error("close code {0} must not be sent")]
    CloseCodeInvalid(u16),
    /// RFC 6455 5.5.1: the reason must be valid UTF-8.
    #[error("close reason is not valid UTF-8")]
    CloseReasonInvalid,
}

impl Violation {
    /// The code that the failing side sends (RFC 6455 7.4.1).
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::InvalidUtf8 | Self::CloseReasonInvalid => CloseCode::INVALID_PAYLOAD,
            Self::MessageTooBig { .. } => CloseCode::TOO_BIG,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}
