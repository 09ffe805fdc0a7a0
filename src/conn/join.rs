//! A fragmented message that stands in one read from its first frame to its last: its payloads are
//! unmasked to where they lie side by side, and it is a whole message like any other.
//!
//! Each header is looked at once. Where the run ends before the message does, what is joined so far
//! goes to `assemble`, as if it had come there from the start: at the end of a read, before a frame
//! that [`frame::glance`] does not tell (a control frame, a last one of less than 8 bytes, one at
//! fault), and where the answer's header would not fit any more.

use super::Conn;
use super::assemble::charge;
use super::gear::Gear;
use super::input::Input;
use super::message::{Body, Kind, Message};
use crate::wire::frame::{self, Header, Opcode};
use crate::wire::utf8::Utf8;
use crate::wire::violation::Violation;

/// Bytes of the longest message that is joined: with 16 bits of length the header of its answer
/// fits in front of it, into the room of the first frame's header and key.
const LONGEST: usize = u16::MAX as usize;

impl Conn {
    /// The message whose frames come next, if they all do. `None`: what has been taken from the
    /// input is in the partial message, or its text is not valid and the connection has failed.
    pub(super) fn next_joined<'b>(
        &mut self,
        input: &mut Input<'b>,
        gear: &mut Gear,
    ) -> Option<Message<'b>> {
        let masked = gear.settings.side.peer_masks();
        let first = frame::glance(input.rest(), masked)?;
        let kind = match first.opcode {
            Opcode::Text => Kind::Text,
            Opcode::Binary => Kind::Binary,
            _ => return None,
        };
        // One that stands alone is copied once where it is assembled, and twice from here.
        if first.fin || size(&first) >= input.rest().len() {
            return None;
        }
        let (mut charged, mut utf8) = (0, Utf8::default());
        let (at, room) = (input.at(), usize::from(first.size));
        let (mut next, mut from, mut to) = (Some(first), 0, room);
        let mut valid = true;
        let bytes = input.rest_mut();
        let whole = loop {
            let Some(header) = next.filter(|h| size(h) <= bytes.len() - from) else { break false };
            let settings = &gear.settings;
            match charge(charged, header.len, settings.frame_cost, settings) {
                Ok(sum) if sum <= LONGEST => charged = sum,
                _ => break false,
            }
            let start = from + usize::from(header.size);
            from += size(&header);
            let payload = &mut bytes[to..from];
            match kind {
                Kind::Binary => gear.masker.apply_moved(header.key, payload, start - to),
                Kind::Text => {
                    let text = &mut payload[start - to..];
                    valid = gear.masker.apply_text(header.key, text, &mut utf8).is_ok();
                    payload.copy_within(start - to.., 0);
                }
            }
            to += from - start;
            if header.fin || !valid {
                break true;
            }
            next = frame::glance(&bytes[from..], masked)
                .filter(|header| header.opcode == Opcode::Continuation);
        };
        let frames = input.take(from);
        if !valid || whole && utf8.finish().is_err() {
            self.fail(Violation::InvalidUtf8, gear);
            return None;
        }
        let (frame, _) = frames.split_at_mut(to);
        if !whole {
            if from > 0 {
                self.partial(gear).adopt(kind, &frame[room..], charged, utf8, gear);
            }
            return None;
        }
        self.message = gear.now;
        gear.count_received();
        Some(Message { kind, body: Body::InPlace { frame, at, header: room } })
    }
}

/// Bytes of a frame.
fn size(header: &Header) -> usize {
    usize::from(header.size) + header.len as usize
}

#[cfg(test)]
mod tests {
    use super::super::side::Side;
    use super::super::tests::drive::{Rig, Seen, settings};
    use super::super::tests::naive;
    use super::super::tests::place::first;
    use crate::conn::Settings;

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
