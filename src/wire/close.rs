//! Close codes (RFC 6455 7.4 and the IANA registry) and the body of a close frame.

use super::violation::Violation;

/// A close code as it stands on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The endpoint goes away: server shutdown, page left.
    pub const GOING_AWAY: Self = Self(1001);
    /// A protocol error.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// Never on the wire: the close frame carried no code.
    pub const NO_STATUS: Self = Self(1005);
    /// Never on the wire: the connection ended without a close frame.
    pub const ABNORMAL: Self = Self(1006);
    /// Data inconsistent with its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// A policy was broken, by a slow consumer for instance.
    pub const POLICY: Self = Self(1008);
    /// The message is too big to process.
    pub const TOO_BIG: Self = Self(1009);
    /// The server met an unexpected condition.
    pub const INTERNAL: Self = Self(1011);
    /// The server restarts.
    pub const RESTART: Self = Self(1012);
    /// Try again later: overload.
    pub const TRY_LATER: Self = Self(1013);

    /// Whether an endpoint may put it in a close frame: 1000-1003, 1007-1014 (IANA), 3000-4999.
    pub fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// Reads the body of a close frame. An empty body gives [`CloseCode::NO_STATUS`].
pub fn parse_body(body: &[u8]) -> Result<(CloseCode, &str), Violation> {
    match body {
        [] => Ok((CloseCode::NO_STATUS, "")),
        [_] => Err(Violation::CloseBodyTooShort),
        [high, low, reason @ ..] => {
            let code = CloseCode(u16::from_be_bytes([*high, *low]));
            if !code.may_be_sent() {
                return Err(Violation::CloseCodeInvalid(code.0));
            }
            let reason =
                simdutf8::basic::from_utf8(reason).map_err(|_| Violation::CloseReasonInvalid)?;
            Ok((code, reason))
        }
    }
}

/// The bytes of a close body: the code and as much of the reason as fits 123 bytes on a character
/// boundary. [`CloseCode::NO_STATUS`] gives an empty body.
pub fn encode_body(code: CloseCode, reason: &str, body: &mut [u8; 125]) -> usize {
    if code == CloseCode::NO_STATUS {
        return 0;
    }
    body[..2].copy_from_slice(&code.0.to_be_bytes());
    let fits = reason.floor_char_boundary(123);
    body[2..2 + fits].copy_from_slice(&reason.as_bytes()[..fits]);
    2 + fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_may_be_sent() {
        let sendable = |c: &u16| CloseCode(*c).may_be_sent();
        assert!([1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 3999, 4999].iter().all(sendable));
        let reserved = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535];
        assert!(!reserved.iter().any(sendable));
    }

    #[test]
    fn bodies() {
        assert_eq!(parse_body(b""), Ok((CloseCode::NO_STATUS, "")));
        assert_eq!(parse_body(b"\x03"), Err(Violation::CloseBodyTooShort));
        assert_eq!(parse_body(b"\x03\xe8bye"), Ok((CloseCode::NORMAL, "bye")));
        assert_eq!(parse_body(b"\x03\xed"), Err(Violation::CloseCodeInvalid(1005)));
        assert_eq!(parse_body(b"\x03\xe8\xff"), Err(Violation::CloseReasonInvalid));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let mut body = [0; 125];
        let reason = format!("{}é", "x".repeat(122));
        assert_eq!(encode_body(CloseCode::NORMAL, &reason, &mut body), 124);
        assert_eq!(parse_body(&body[..124]), Ok((CloseCode::NORMAL, &reason[..122])));
        assert_eq!(encode_body(CloseCode::NO_STATUS, "", &mut body), 0);
    }
}
