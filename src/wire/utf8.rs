//! Incremental UTF-8 validation across fragments (RFC 6455 8.1, RFC 3629).

/// The text so far cannot be the beginning of valid UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("text is not valid UTF-8")]
pub struct InvalidUtf8;

/// State between two pieces of one text message: at most three bytes of an unfinished code point.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Utf8 {
    tail: [u8; 4],
    len: u8,
}

impl Utf8 {
    /// Takes the next piece. Fails in the piece that holds the offending byte.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), InvalidUtf8> {
        let mut all = self.tail[..usize::from(self.len)].to_vec();
        all.extend_from_slice(piece);
        match std::str::from_utf8(&all) {
            Ok(_) => self.len = 0,
            Err(e) if e.error_len().is_none() => {
                let rest = &all[e.valid_up_to()..];
                self.tail[..rest.len()].copy_from_slice(rest);
                self.len = rest.len() as u8;
            }
            Err(_) => return Err(InvalidUtf8),
        }
        Ok(())
    }

    /// Ends the message: an unfinished code point is invalid. Resets the state.
    pub fn finish(&mut self) -> Result<(), InvalidUtf8> {
        let open = self.len != 0;
        *self = Self::default();
        if open { Err(InvalidUtf8) } else { Ok(()) }
    }
}
