//! Where a message lies when the App gets it: what came whole in one read is not copied.

use super::drive::{Rig, settings};
use super::naive;
use crate::conn::message::{Body, Event};
use crate::conn::{Input, Settings, Side};

/// Whether the first message in `bytes` lies in the read buffer, and how long it is.
pub(crate) fn first(settings: Settings, bytes: &mut [u8]) -> Option<(bool, usize)> {
    let mut rig = Rig::open(settings);
    let mut input = Input::new(bytes, 0);
    let event = rig.conn.next(&mut input, &mut rig.gear);
    let Some(Event::Message(message)) = event else { return None };
    let found = (matches!(message.body, Body::InPlace { .. }), message.payload().len());
    message.reclaim(&mut rig.gear.pool);
    Some(found)
}

/// Those that one look at the header does not tell too: shorter than the look, or with 64 bits of
/// length.
#[test]
fn a_whole_message_stays_where_it_lies_whatever_its_length() {
    for side in [Side::Server, Side::Client] {
        let key = (side == Side::Server).then_some([1, 2, 3, 4]);
        for len in [0, 1, 2, 5, 6, 125, 126, 65_535, 65_536, 70_000] {
            for opcode in [naive::TEXT, naive::BINARY] {
                let mut frame = naive::frame(true, opcode, key, &vec![b'x'; len]);
                let found = first(settings(side), &mut frame);
                assert_eq!(found, Some((true, len)), "{side:?}, {len} bytes");
            }
        }
    }
}

#[test]
fn text_that_is_not_valid_fails_whatever_its_length() {
    for len in [1, 20, 70_000] {
        for more in [&[][..], &[0x81]] {
            let mut rig = Rig::open(settings(Side::Server));
            let mut bytes = naive::frame(true, naive::TEXT, Some([1, 2, 3, 4]), &vec![0xff; len]);
            bytes.extend_from_slice(more);
            let mut input = Input::new(&mut bytes, 0);
            assert!(rig.conn.next(&mut input, &mut rig.gear).is_none());
            assert!(rig.conn.next(&mut input, &mut rig.gear).is_none() && input.rest().is_empty());
            rig.flush(&mut usize::MAX.clone());
            let frames = naive::parse(&rig.sent);
            assert!(frames.len() == 1 && frames[0].is_close(1007), "{len} bytes: {frames:?}");
        }
    }
}
