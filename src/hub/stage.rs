//! Frames that came to one path in one turn, encoded behind each other until they are a block.

use std::collections::VecDeque;

use crate::conn::Kind;
use crate::limits;
use crate::wire::frame::{self, MAX_HEADER};

/// Empty buffers that a shard keeps.
const SPARE: usize = 16;

/// Encoded frames and how many they are.
pub(super) type Frames = (Box<[u8]>, u32);

/// What is not published yet.
#[derive(Debug, Default)]
pub(super) struct Stage {
    /// Full blocks, in order, before `bytes`.
    full: VecDeque<Frames>,
    bytes: Vec<u8>,
    messages: u32,
}

impl Stage {
    /// Encodes one message behind the others and says how many bytes that made.
    pub(super) fn add(&mut self, kind: Kind, payload: &[u8], spare: &mut Vec<Vec<u8>>) -> usize {
        if self.bytes.capacity() == 0 {
            self.bytes = spare.pop().unwrap_or_default();
        }
        let mut header = [0; MAX_HEADER];
        let size = frame::encode(true, kind.opcode(), payload.len(), None, &mut header);
        self.bytes.extend_from_slice(&header[..size]);
        self.bytes.extend_from_slice(payload);
        self.messages += 1;
        if self.bytes.len() >= limits::BLOCK {
            let frames = self.seal(spare);
            self.full.push_back(frames);
        }
        size + payload.len()
    }

    fn seal(&mut self, spare: &mut Vec<Vec<u8>>) -> Frames {
        let mut bytes = std::mem::take(&mut self.bytes);
        let frames = (Box::from(bytes.as_slice()), std::mem::take(&mut self.messages));
        bytes.clear();
        if spare.len() < SPARE && bytes.capacity() <= 2 * limits::BLOCK {
            spare.push(bytes);
        }
        frames
    }

    /// Whether a block is full.
    pub(super) fn has_blocks(&self) -> bool {
        !self.full.is_empty()
    }

    /// The next block; the last one need not be full.
    pub(super) fn next(&mut self, spare: &mut Vec<Vec<u8>>) -> Option<Frames> {
        let next = self.full.pop_front();
        if self.full.is_empty() && self.full.capacity() > SPARE {
            // A burst's worth of places is not kept for a room's life.
            self.full = VecDeque::new();
        }
        next.or_else(|| (self.messages > 0).then(|| self.seal(spare)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_a_turn_are_one_block() {
        let (mut stage, mut spare) = (Stage::default(), Vec::new());
        assert_eq!(stage.add(Kind::Text, b"hi", &mut spare), 4);
        assert_eq!(stage.add(Kind::Binary, &[7; 126], &mut spare), 130);
        assert!(!stage.has_blocks());
        let (bytes, messages) = stage.next(&mut spare).unwrap();
        assert_eq!(bytes[..8], [0x81, 2, b'h', b'i', 0x82, 126, 0, 126]);
        assert_eq!((bytes.len(), messages, stage.next(&mut spare)), (134, 2, None));
        assert_eq!(spare.len(), 1, "the buffer is kept");
    }

    #[test]
    fn much_makes_several_blocks_in_order() {
        let (mut stage, mut spare) = (Stage::default(), Vec::new());
        for n in 0..=255_u8 {
            stage.add(Kind::Binary, &[n; 8192], &mut spare);
        }
        assert!(stage.has_blocks());
        let blocks: Vec<Frames> = std::iter::from_fn(|| stage.next(&mut spare)).collect();
        assert_eq!(blocks.iter().map(|block| block.1).sum::<u32>(), 256);
        assert!(stage.full.capacity() <= SPARE);
        assert!(blocks.len() > SPARE, "{} blocks", blocks.len());
        let all: Vec<u8> = blocks.iter().flat_map(|block| block.0.iter().copied()).collect();
        assert_eq!(all.len(), 256 * 8196);
        assert!(all.chunks(8196).enumerate().all(|(n, frame)| frame[4..] == [n as u8; 8192]));
    }
}
