//! Frames that came to one path in one turn, encoded behind each other until they are a block.

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
    blocks: Vec<Frames>,
    bytes: Vec<u8>,
    messages: u32,
    /// Bytes of all.
    len: usize,
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
        self.len += size + payload.len();
        if self.bytes.len() >= limits::BLOCK {
            self.seal(spare);
        }
        size + payload.len()
    }

    fn seal(&mut self, spare: &mut Vec<Vec<u8>>) {
        let mut bytes = std::mem::take(&mut self.bytes);
        self.blocks.push((Box::from(bytes.as_slice()), std::mem::take(&mut self.messages)));
        bytes.clear();
        if spare.len() < SPARE && bytes.capacity() <= 2 * limits::BLOCK {
            spare.push(bytes);
        }
    }

    /// Bytes of all frames.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether a block is full.
    pub(super) fn has_blocks(&self) -> bool {
        !self.blocks.is_empty()
    }

    /// All blocks; nothing is left.
    pub(super) fn take(&mut self, spare: &mut Vec<Vec<u8>>) -> Vec<Frames> {
        if self.messages > 0 {
            self.seal(spare);
        }
        self.len = 0;
        std::mem::take(&mut self.blocks)
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
        assert_eq!((stage.len(), stage.has_blocks()), (134, false));
        let blocks = stage.take(&mut spare);
        let [(bytes, 2)] = blocks.as_slice() else { panic!("{blocks:?}") };
        assert_eq!(bytes[..8], [0x81, 2, b'h', b'i', 0x82, 126, 0, 126]);
        assert_eq!((bytes.len(), stage.len(), stage.take(&mut spare).len()), (134, 0, 0));
        assert_eq!(spare.len(), 1, "the buffer is kept");
    }

    #[test]
    fn much_makes_several_blocks_in_order() {
        let (mut stage, mut spare) = (Stage::default(), Vec::new());
        for n in 0..100_u8 {
            stage.add(Kind::Binary, &[n; 4096], &mut spare);
        }
        assert!(stage.has_blocks());
        let blocks = stage.take(&mut spare);
        assert_eq!(blocks.iter().map(|block| block.1).sum::<u32>(), 100);
        assert!(blocks.len() >= 6, "{} blocks", blocks.len());
        let all: Vec<u8> = blocks.iter().flat_map(|block| block.0.iter().copied()).collect();
        assert_eq!(all.len(), 100 * 4100);
        assert!(all.chunks(4100).enumerate().all(|(n, frame)| frame[4..] == [n as u8; 4096]));
    }
}
