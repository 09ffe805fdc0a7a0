//! Fills a template: a message is a function of its stamp and the seed, so nothing is kept to
//! compare a reply with, and nothing is allocated for it.

use crate::cli::message::{Piece, Template};
use crate::draw::share;

/// Digits of the greatest number of 64 bits.
const DIGITS: usize = 20;

/// What the placeholders of one message stand for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filling<'a> {
    pub(crate) connection: u32,
    pub(crate) sequence: u32,
    /// Milliseconds since 1970.
    pub(crate) time_ms: u64,
    /// As it is written.
    pub(crate) stamp: &'a [u8],
    /// 64 random bits of this message.
    pub(crate) random: u64,
}

impl Template {
    /// The parts of a message in their order, until one is not wanted: false then.
    pub(crate) fn fill(&self, of: Filling<'_>, mut part: impl FnMut(&[u8]) -> bool) -> bool {
        let mut digits = [0; DIGITS];
        self.pieces.iter().all(|piece| match piece {
            Piece::Literal(text) => part(text.as_bytes()),
            Piece::Connection => part(decimal(of.connection.into(), &mut digits)),
            Piece::Sequence => part(decimal(of.sequence.into(), &mut digits)),
            Piece::Time => part(decimal(of.time_ms, &mut digits)),
            Piece::Stamp => part(of.stamp),
            Piece::Data => part(self.line(of).as_bytes()),
        })
    }

    fn line(&self, of: Filling<'_>) -> &str {
        let lines = self.data.len() as u64;
        let at = if self.random {
            share(of.random, lines)
        } else {
            (u64::from(of.connection) + u64::from(of.sequence)) % lines.max(1)
        };
        self.data.get(at as usize).map_or("", String::as_str)
    }
}

fn decimal(mut n: u64, digits: &mut [u8; DIGITS]) -> &[u8] {
    let mut at = DIGITS;
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 || at == 0 {
            return &digits[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_as_everybody_writes_them(n: u64) {
            let (mut digits, text) = ([0; DIGITS], n.to_string());
            prop_assert_eq!(decimal(n, &mut digits), text.as_bytes());
        }
    }

    #[test]
    fn the_ends_of_numbers() {
        for n in [0, 9, 10, u64::MAX] {
            assert_eq!(decimal(n, &mut [0; DIGITS]), n.to_string().as_bytes());
        }
    }
}
