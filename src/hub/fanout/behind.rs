//! Members that a block left out because they were over their water mark.
//!
//! Under [`Slow::Drop`] such a member is out of the crowd at once, and its service tells it so.
//! Under [`Slow::Latest`] it waits outside, and when it has taken what it owed it gets the newest
//! publication alone and is in again. Either way no later block reaches it before that.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Behind, Crowd, Fanout, Load, Reach, Service};
use crate::hub::namespace::Slow;
use crate::limits;
use crate::wire::frame;

/// What stands in a push of a publication and, its quotes unescaped, in nothing before it.
const PUBLICATION: &[u8] = b",\"pub\":{";

/// Takes the members at `places` out of the crowd's run.
pub(super) fn leave_out<I: Copy + PartialEq, S: Clone>(
    crowd: &mut Crowd<I, S>,
    number: u32,
    missed: Load<S>,
    places: impl Iterator<Item = usize>,
    reach: &mut impl Reach<I, S>,
    mut drop: impl FnMut(I),
) {
    let mut out = Vec::new();
    for place in places {
        let Some(id) = crowd.room.member(place) else { continue };
        crowd.room.leave(place as u32, id);
        reach.moved(id, number, Fanout::<I, S>::NOWHERE);
        out.push(id);
    }
    if crowd.service == Service::Room(Slow::Latest) {
        let newest = crowd.room.newest().cloned().unwrap_or(missed);
        let fresh = Behind { newest, members: VecDeque::new() };
        crowd.behind.get_or_insert_with(|| Box::new(fresh)).members.extend(out);
    } else {
        out.into_iter().for_each(&mut drop);
    }
}

impl<I: Copy + PartialEq, S: Clone> Fanout<I, S> {
    /// Looks at members that are behind, a bounded number of them: who owes little by now gets the
    /// newest publication and is in again.
    pub(in crate::hub) fn catch_up(
        &mut self,
        now: Instant,
        few: usize,
        reach: &mut impl Reach<I, S>,
    ) {
        if self.behind.is_empty() || self.look.is_some_and(|at| at > now) {
            return;
        }
        self.look = Some(now + limits::BEHIND_RETRY);
        let mut looks = limits::DELIVERIES_PER_SLICE;
        let mut numbers = std::mem::take(&mut self.behind);
        // Each crowd is the first one to be looked at in its turn.
        numbers.rotate_left(1);
        numbers.retain(|number| {
            let Some(crowd) = self.crowds.get(*number) else { return false };
            let Some(behind) = &mut crowd.behind else { return false };
            for _ in 0..behind.members.len().min(looks) {
                looks -= 1;
                let Some(id) = behind.members.pop_front() else { break };
                match reach.owed(id) {
                    Some(bytes) if bytes <= few => {
                        if let Some(text) = newest(behind.newest.publication.block.bytes()) {
                            reach.say(id, text);
                        }
                        reach.moved(id, *number, crowd.room.join(id));
                    }
                    Some(_) => behind.members.push_back(id),
                    None => {}
                }
            }
            let some = !behind.members.is_empty();
            if !some {
                crowd.behind = None;
                self.left.push(*number);
            }
            some
        });
        self.behind.append(&mut numbers);
    }
}

/// The payload of the last frame of a block that is a publication.
fn newest(mut frames: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    while let Ok(Some(header)) = frame::decode(frames, false)
        && let Some((_, rest)) = frames.split_at_checked(usize::from(header.size))
        && let Some((payload, after)) = rest.split_at_checked(header.len as usize)
    {
        if memchr::memmem::find(payload, PUBLICATION).is_some() {
            found = Some(payload);
        }
        frames = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_publication_of_a_block() {
        let push = |what: &str| format!("{{\"push\":{{\"channel\":\"a\",\"{what}\":{{}}}}}}");
        let (one, two, join) = (push("pub"), push("pub"), push("join"));
        let mut block = Vec::new();
        for text in [&one, &two, &join] {
            block.extend([0x81, text.len() as u8]);
            block.extend(text.bytes());
        }
        let found = newest(&block).unwrap();
        assert_eq!(found, two.as_bytes());
        assert_eq!(found.as_ptr(), block[4 + one.len()..].as_ptr(), "the second of two alike");
        assert_eq!(newest(&block[..1]), None);
        assert_eq!(newest(&[]), None);
    }
}
