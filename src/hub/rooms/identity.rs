//! Who a client is, as the others see it.

use crate::hub::json::write_string;

/// A client's name, its user and what its token says of it. One for each client, shared by
/// whatever shows it.
#[derive(Debug)]
pub(in crate::hub) struct Identity {
    /// A UUID (RFC 9562, version 4).
    id: u128,
    /// Empty for nobody in particular.
    pub(super) user: Box<str>,
    /// JSON, from the token.
    info: Option<Box<str>>,
}

impl Identity {
    /// Of 16 random bytes.
    pub(super) fn new(random: u128, user: Box<str>, info: Option<Box<str>>) -> Self {
        // The version's and the variant's bits.
        let id = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
        Self { id, user, info }
    }

    /// What its token says of it, in JSON.
    pub(super) fn info(&self) -> Option<&str> {
        self.info.as_deref()
    }

    /// Appends the client's name.
    pub(super) fn write_id(&self, out: &mut Vec<u8>) {
        let hex = |n: u8| b"0123456789abcdef"[usize::from(n & 15)];
        for (at, byte) in self.id.to_be_bytes().into_iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                out.push(b'-');
            }
            out.extend_from_slice(&[hex(byte >> 4), hex(byte)]);
        }
    }

    /// Appends the protocol's `ClientInfo`, with what a subscription's token says if it does.
    pub(super) fn write(&self, channel_info: Option<&str>, out: &mut Vec<u8>) {
        out.push(b'{');
        if !self.user.is_empty() {
            out.extend_from_slice(b"\"user\":");
            write_string(out, &self.user);
            out.push(b',');
        }
        out.extend_from_slice(b"\"client\":\"");
        self.write_id(out);
        out.push(b'"');
        for (key, info) in [("conn_info", self.info.as_deref()), ("chan_info", channel_info)] {
            if let Some(info) = info {
                out.extend_from_slice(b",\"");
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(b"\":");
                out.extend_from_slice(info.as_bytes());
            }
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_uuid_of_version_4() {
        for random in [0, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
            let mut id = Vec::new();
            Identity::new(random, "".into(), None).write_id(&mut id);
            assert_eq!(
                (id.len(), id[14], id[8], id[13], id[18], id[23]),
                (36, b'4', 45, 45, 45, 45)
            );
            assert!(b"89ab".contains(&id[19]), "{id:?}");
        }
    }

    #[test]
    fn what_the_others_see() {
        let text = |identity: &Identity, info| {
            let mut out = Vec::new();
            identity.write(info, &mut out);
            String::from_utf8(out).unwrap()
        };
        let id = "00000000-0000-4000-8000-000000000000";
        let nobody = Identity::new(0, "".into(), None);
        assert_eq!(text(&nobody, None), format!("{{\"client\":\"{id}\"}}"));
        let ann = Identity::new(0, "an\"n".into(), Some("{\"a\":1}".into()));
        let expected = format!(
            "{{\"user\":\"an\\\"n\",\"client\":\"{id}\",\"conn_info\":{{\"a\":1}},\
             \"chan_info\":[2]}}"
        );
        assert_eq!(text(&ann, Some("[2]")), expected);
    }
}
