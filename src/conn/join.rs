//! A fragmented message that stands in one read from its first frame to its last: its payloads are
//! moved together where they lie, and it is a whole message like any other.
//!
//! Left as it came to `assemble` is what is cut by the end of a read, what is longer than the room
//! for its answer's header allows, and what has a frame that [`frame::glance`] does not tell: a
//! control frame, a last one of less than [`GLANCE`] bytes, one at fault. Text is the exception: a
//! run that is not valid is taken, and the connection fails as it would there.

use super::Conn;
use super::assemble::charge;
use super::gear::Gear;
use super::input::Input;
use super::message::{Body, Kind, Message};
use super::settings::Settings;
use crate::wire::frame::{self, GLANCE, Opcode};
use crate::wire::utf8::Utf8;
use crate::wire::violation::Violation;

/// Bytes of the longest message that is joined: with 16 bits of length the header of its answer
/// fits in front of it, into the room of the first frame's header and key.
const LONGEST: usize = u16::MAX as usize;

impl Conn {
    /// The message whose frames come next, if they all do. `None` takes nothing from the input,
    /// unless its text is not valid: then the connection has failed.
    pub(super) fn next_joined<'b>(
        &mut self,
        input: &mut Input<'b>,
        gear: &mut Gear,
    ) -> Option<Message<'b>> {
        let masked = gear.settings.side.peer_masks();
        let run = run_length(input.rest(), masked, &gear.settings)?;
        let first = frame::glance(input.rest(), masked)?;
        let at = input.at();
        let frames = input.take(run);
        let kind = if first.opcode == Opcode::Text { Kind::Text } else { Kind::Binary };
        let mut utf8 = Utf8::default();
        let (mut from, mut to) = (0, usize::from(first.size));
        let mut valid = Ok(());
        while valid.is_ok() && from < run {
            let Some(header) = frame::glance(&frames[from..], masked) else {
                debug_assert!(false, "the run was told by the same glances");
                return None;
            };
            let start = from + usize::from(header.size);
            let end = start + header.len as usize;
            let payload = &mut frames[start..end];
            match kind {
                Kind::Text => valid = gear.masker.apply_text(header.key, payload, &mut utf8),
                Kind::Binary => gear.masker.apply(header.key, payload),
            }
            frames.copy_within(start..end, to);
            to += end - start;
            from = end;
        }
        if valid.and_then(|()| utf8.finish()).is_err() {
            self.fail(Violation::InvalidUtf8, gear);
            return None;
        }
        self.message = gear.now;
        gear.count_received();
        let (frame, _) = frames.split_at_mut(to);
        Some(Message { kind, body: Body::InPlace { frame, at, header: usize::from(first.size) } })
    }
}

/// Bytes of the frames of one message at the start of `bytes`, if all of them are there, one behind
/// the other, the last long enough for a glance, and within the bounds that `assemble` charges by.
fn run_length(bytes: &[u8], masked: bool, settings: &Settings) -> Option<usize> {
    let (mut end, mut charged) = (0, 0);
    loop {
        let rest = &bytes[end..];
        let header = frame::glance(rest, masked)?;
        let begins = header.opcode != Opcode::Continuation;
        let size = usize::from(header.size) + header.len as usize;
        charged = charge(charged, header.len, settings.frame_cost, settings).ok()?;
        end += size;
        if begins != (end == size) || size > rest.len() {
            return None;
        }
        if header.fin {
            return (size >= GLANCE && charged <= LONGEST).then_some(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::side::Side;
    use super::super::tests::drive::{Rig, Seen, settings};
    use super::super::tests::naive;
    use super::super::tests::place::first;
    use super::*;

    const KEY: Option<[u8; 4]> = Some([1, 2, 3, 4]);

    fn fragments(pieces: &[&[u8]]) -> Vec<u8> {
        let frame = |(i, piece): (usize, &&[u8])| {
            let opcode = if i == 0 { naive::TEXT } else { naive::CONTINUATION };
            naive::frame(i + 1 == pieces.len(), opcode, KEY, piece)
        };
        pieces.iter().enumerate().flat_map(frame).collect()
    }

    fn joined(mut run: Vec<u8>) -> Option<(bool, usize)> {
        first(settings(Side::Server), &mut run)
    }

    #[test]
    fn what_stands_in_one_read_is_joined_there() {
        let long = [b'x'; 300];
        let run = fragments(&[&long, b"cut \xe2\x82", b"\xac in a character"]);
        assert_eq!(joined(run), Some((true, 6 + 300 + 16)));
        // All but the last may be shorter than a glance.
        assert_eq!(joined(fragments(&[b"", b"a", b"bc"])), Some((true, 3)));
        assert_eq!(joined(fragments(&[b"ab", b"c"])), Some((false, 3)));
    }

    #[test]
    fn what_is_longer_than_its_first_header_has_room_for_is_assembled() {
        let piece = vec![b'x'; 40_000];
        assert_eq!(joined(fragments(&[&piece[..9], &piece])), Some((true, 40_009)));
        assert_eq!(joined(fragments(&[&piece, &piece])), Some((false, 80_000)));
    }

    /// As they would be in pieces: each frame costs 64 bytes at least, and a message its limit at
    /// most.
    #[test]
    fn what_is_joined_is_charged_in_full() {
        let limited = |bytes: &mut [u8]| {
            first(Settings { max_message: 4096, ..settings(Side::Server) }, bytes)
        };
        assert_eq!(limited(&mut fragments(&[&b"ab"[..]; 64])), Some((true, 128)));
        assert_eq!(limited(&mut fragments(&[&b"ab"[..]; 65])), None);
        let piece = [b'x'; 2048];
        assert_eq!(limited(&mut fragments(&[&piece, &piece])), Some((true, 4096)));
        assert_eq!(limited(&mut fragments(&[&piece, &piece[1..], b"ab"])), None);
    }

    #[test]
    fn what_is_cut_is_assembled() {
        let run = fragments(&[b"first piece", b", second piece"]);
        let mut rig = Rig::open(settings(Side::Server));
        rig.feed(&run[..run.len() - 1]);
        assert_eq!(rig.seen, []);
        rig.feed(&run[run.len() - 1..]);
        assert_eq!(rig.seen, [Seen::Text(b"first piece, second piece".to_vec())]);
    }
}
