//! The admin API's key.

use std::fmt;

use ring::hmac;

/// A key that callers show in plain. The time to compare tells neither its bytes nor its length.
#[derive(Clone)]
pub struct ApiKey {
    hash: hmac::Key,
    tag: hmac::Tag,
}

impl ApiKey {
    /// From its text.
    pub fn new(text: &str) -> Self {
        // Equal keys have equal tags, and tags have one length; this secret needs no secrecy.
        let hash = hmac::Key::new(hmac::HMAC_SHA256, b"plimsoll admin API key");
        Self { tag: hmac::sign(&hash, text.as_bytes()), hash }
    }

    /// Whether it is this one.
    pub fn is(&self, given: &[u8]) -> bool {
        hmac::verify(&self.hash, given, self.tag.as_ref()).is_ok()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_opens() {
        let key = ApiKey::new("s3cret");
        assert!(key.is(b"s3cret"));
        for other in [&b""[..], b"s3cre", b"s3crets", b"S3cret", b"s3cret\0"] {
            assert!(!key.is(other), "{other:?}");
        }
        assert!(!ApiKey::new("a").is(b"b"));
        assert_eq!(format!("{key:?}"), "ApiKey(..)");
    }
}
