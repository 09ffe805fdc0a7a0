//! A fragmented message that stands in one read from its first frame to its last: its payloads are
//! moved together where they lie, and it is a whole message like any other. What is cut by the end
//! of a read, or holds a control frame, or is at fault, is left as it came to `assemble`.

use super::Conn;
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
        let at = input.at();
        let frames = input.take(run);
        let first = frame::glance(frames, masked)?;
        let kind = if first.opcode == Opcode::Text { Kind::Text } else { Kind::Binary };
        let mut utf8 = Utf8::default();
        let (mut from, mut to) = (0, usize::from(first.size));
        let mut valid = Ok(());
        while valid.is_ok() && from < run {
            let header = frame::glance(&frames[from..], masked)?;
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
        gear.received = gear.received.wrapping_add(1);
        let (frame, _) = frames.split_at_mut(to);
        Some(Message { kind, body: Body::InPlace { frame, at, header: usize::from(first.size) } })
    }
}

/// Bytes of the frames of one message at the start of `bytes`, if all of them are there, one behind
/// the other, each long enough for a glance, and within the bounds that `assemble` charges by.
fn run_length(bytes: &[u8], masked: bool, settings: &Settings) -> Option<usize> {
    let most = settings.max_message.min(LONGEST);
    let (mut end, mut charged) = (0, 0);
    loop {
        let rest = &bytes[end..];
        let header = frame::glance(rest, masked)?;
        let begins = header.opcode != Opcode::Continuation;
        let len = header.len as usize;
        let size = usize::from(header.size) + len;
        charged += len.max(settings.frame_cost);
        end += size;
        if begins != (end == size) || size < GLANCE || size > rest.len() || charged > most {
            return None;
        }
        if header.fin {
            return Some(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Event;
    use super::super::side::Side;
    use super::super::tests::{drive, naive};
    use super::*;

    const KEY: Option<[u8; 4]> = Some([1, 2, 3, 4]);

    fn fragments(pieces: &[&[u8]]) -> Vec<u8> {
        let frame = |(i, piece): (usize, &&[u8])| {
            let opcode = if i == 0 { naive::TEXT } else { naive::CONTINUATION };
            naive::frame(i + 1 == pieces.len(), opcode, KEY, piece)
        };
        pieces.iter().enumerate().flat_map(frame).collect()
    }

    /// Whether the first message in `bytes` lies in the read buffer, and how long it is.
    fn first(bytes: &mut [u8]) -> Option<(bool, usize)> {
        let mut rig = drive::Rig::open(drive::settings(Side::Server));
        let mut input = Input::new(bytes, 0);
        let event = rig.conn.next(&mut input, &mut rig.gear);
        let Some(Event::Message(message)) = event else { return None };
        let found = (matches!(message.body, Body::InPlace { .. }), message.payload().len());
        message.reclaim(&mut rig.gear.pool);
        Some(found)
    }

    #[test]
    fn what_stands_in_one_read_is_joined_there() {
        let long = [b'x'; 300];
        let mut run = fragments(&[&long, b"cut \xe2\x82", b"\xac in a character"]);
        assert_eq!(first(&mut run), Some((true, 6 + 300 + 16)));
    }

    #[test]
    fn what_is_longer_than_its_first_header_has_room_for_is_assembled() {
        let piece = vec![b'x'; 40_000];
        assert_eq!(first(&mut fragments(&[&piece[..9], &piece])), Some((true, 40_009)));
        assert_eq!(first(&mut fragments(&[&piece, &piece])), Some((false, 80_000)));
    }

    #[test]
    fn what_is_cut_is_assembled() {
        let mut run = fragments(&[b"first piece", b"second piece"]);
        let cut = run.len() - 1;
        assert_eq!(first(&mut run[..cut]), None);
    }
}
