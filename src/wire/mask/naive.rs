//! The definitions, as a reader would write them down: the oracle of the tests, kept forever.

/// RFC 6455 5.3: octet i of the result is octet i of the payload XOR octet i mod 4 of the key.
pub(super) fn xor(key: [u8; 4], payload: &[u8]) -> Vec<u8> {
    payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect()
}

/// Whether `text` can still be made valid by what may follow (RFC 6455 8.1).
pub(super) fn may_go_on(text: &[u8]) -> bool {
    std::str::from_utf8(text).err().is_none_or(|error| error.error_len().is_none())
}
