//! Incremental UTF-8 validation across fragments (RFC 6455 8.1, RFC 3629).
//!
//! Text that is unmasked at the same time is validated by the bodies of [`super::mask`]; this
//! module holds the state between pieces and validates bytes that are plain already.

/// The text so far cannot be the beginning of valid UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("text is not valid UTF-8")]
pub struct InvalidUtf8;

/// State between two pieces of one text message: at most three bytes of an unfinished code point.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Utf8 {
    /// The bytes of the code point that has begun, the last in the top byte; zero when there is
    /// none.
    begun: u32,
}

impl Utf8 {
    /// Takes the next piece. Fails in the piece that holds the first byte after which nothing can
    /// make the text valid, as `std::str::from_utf8` would find it in the whole text.
    ///
    /// After an error the state means nothing until [`Utf8::finish`].
    pub fn push(&mut self, piece: &[u8]) -> Result<(), InvalidUtf8> {
        let rest = self.complete(piece)?;
        if rest.len() < SHORT {
            return self.push_short(rest);
        }
        let open = open_bytes(last_word(rest));
        let (whole, tail) = rest.split_at(rest.len() - open);
        if simdutf8::basic::from_utf8(whole).is_err() {
            return Err(InvalidUtf8);
        }
        self.push_short(tail)
    }

    /// Takes a piece that begins between code points, byte by byte.
    #[inline]
    fn push_short(&mut self, piece: &[u8]) -> Result<(), InvalidUtf8> {
        let Err(error) = std::str::from_utf8(piece) else { return Ok(()) };
        if error.error_len().is_some() {
            return Err(InvalidUtf8);
        }
        self.begun = last_word(&piece[error.valid_up_to()..]);
        Ok(())
    }

    /// Ends the message: an unfinished code point is invalid. Resets the state.
    pub fn finish(&mut self) -> Result<(), InvalidUtf8> {
        let open = self.begun != 0;
        *self = Self::default();
        if open { Err(InvalidUtf8) } else { Ok(()) }
    }

    /// Takes the bytes that the code point from the piece before still lacks, and gives the rest.
    #[inline]
    fn complete<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], InvalidUtf8> {
        if self.begun == 0 { Ok(piece) } else { self.complete_begun(piece) }
    }

    fn complete_begun<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], InvalidUtf8> {
        let bytes = self.begun.to_le_bytes();
        let has = 4 - bytes.iter().take_while(|byte| **byte == 0).count();
        let mut point = [0; 4];
        point[..has].copy_from_slice(&bytes[4 - has..]);
        let wants = match point[0] {
            0xF0.. => 4,
            0xE0.. => 3,
            _ => 2,
        };
        let taken = piece.len().min(wants - has);
        point[has..has + taken].copy_from_slice(&piece[..taken]);
        self.begun = 0;
        self.push_short(&point[..has + taken])?;
        Ok(&piece[taken..])
    }

    /// The state as the mask's bodies carry it in a register.
    pub(super) fn state(self) -> u32 {
        self.begun
    }

    /// The counterpart of [`Utf8::state`].
    pub(super) fn resume(state: u32) -> Self {
        Self { begun: state }
    }
}

/// Below this many bytes the vector validator's own start costs more than it saves.
const SHORT: usize = 64;

/// The last four bytes, the last in the top byte; zeros before a shorter text.
fn last_word(text: &[u8]) -> u32 {
    match text.last_chunk() {
        Some(word) => u32::from_le_bytes(*word),
        None => text.iter().fold(0, |word, byte| word >> 8 | u32::from(*byte) << 24),
    }
}

/// How many of the last four bytes belong to a code point that goes on after them.
#[inline]
fn open_bytes(last: u32) -> usize {
    let [_, third, second, first] = last.to_le_bytes();
    let continues = |byte: u8| byte & 0xC0 == 0x80;
    if first >= 0xC0 {
        1
    } else if second >= 0xE0 && continues(first) {
        2
    } else if third >= 0xF0 && continues(second) && continues(first) {
        3
    } else {
        0
    }
}

/// The state after text that ends in these four bytes and was found valid as far as pairs of
/// neighbours show. Finds the one error that shows in no pair: an impossible lead at the very end.
#[inline]
pub(super) fn unfinished(last: u32) -> Result<u32, InvalidUtf8> {
    if last & 0x8080_8080 == 0 {
        return Ok(0);
    }
    match (open_bytes(last), last >> 24) {
        (0, _) => Ok(0),
        (1, 0xC0 | 0xC1 | 0xF5..) => Err(InvalidUtf8),
        (open, _) => Ok(last & (u32::MAX << (32 - 8 * open))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every cut into three of valid text: no piece fails, and the end is whole.
    #[test]
    fn any_cut_of_valid_text() {
        let text = "aé語😀z\u{10ffff}\u{800}\u{80}".repeat(4);
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let mut utf8 = Utf8::default();
                let bytes = text.as_bytes();
                for piece in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                    assert_eq!(utf8.push(piece), Ok(()), "{first} {second}");
                }
                assert_eq!(utf8.finish(), Ok(()));
            }
        }
    }

    /// The piece that holds the offending byte fails, one byte at a time: for an impossible lead
    /// that is the lead itself.
    #[test]
    fn fails_at_the_offending_byte() {
        let cases: [(&[u8], usize); 9] = [
            (b"a\x80", 1),
            (b"a\xc0", 1),
            (b"\xf5", 0),
            (b"\xc3\x28", 1),
            (b"\xe0\x9f", 1),
            (b"\xed\xa0", 1),
            (b"\xf4\x90", 1),
            (b"\xf0\x9f\x98\x41", 3),
            (b"\xe8\xaa\x9e\xff", 3),
        ];
        for (text, offending) in cases {
            let mut utf8 = Utf8::default();
            let failed = text.iter().position(|byte| utf8.push(&[*byte]).is_err());
            assert_eq!(failed, Some(offending), "{text:02x?}");
        }
    }

    #[test]
    fn an_unfinished_end_is_invalid_and_the_state_starts_anew() {
        let mut utf8 = Utf8::default();
        assert_eq!(utf8.push("語".as_bytes().split_at(2).0), Ok(()));
        assert_eq!(utf8.finish(), Err(InvalidUtf8));
        assert_eq!(utf8.push(b"plain"), Ok(()));
        assert_eq!(utf8.finish(), Ok(()));
    }
}
