//! Members that a block left out because they were over their water mark.
//!
//! Under [`Slow::Drop`] such a member is out of the crowd at once, and its service tells it so.
//! Under [`Slow::Latest`] it waits outside, and when it has taken what it owed it gets the newest
//! publication alone and is in again. Either way no later block reaches it before that.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Crowd, Fanout, Load, Reach, Service};
use crate::hub::namespace::Slow;
use crate::hub::rooms::{channel_of, push_head};
use crate::limits;
use crate::wire::frame;

/// Members that are behind, and what they will get. Not the block that had it: they may be behind
/// for hours, and a block counts as under way for as long as somebody keeps it.
#[derive(Debug)]
pub(super) struct Behind<I> {
    /// What a push of a publication to this room begins with.
    head: Vec<u8>,
    /// The newest publication's push; empty if there is none.
    newest: Vec<u8>,
    pub(super) members: VecDeque<I>,
}

/// Takes the members at `places` out of the crowd's run.
pub(super) fn leave_out<I: Copy + PartialEq, S: Clone>(
    crowd: &mut Crowd<I, S>,
    number: u32,
    missed: &Load<S>,
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
        let behind = crowd.behind.get_or_insert_with(|| {
            let mut fresh = Behind::new(&crowd.name);
            // The one that was missed is done, if this was its last slice; the others came later.
            for load in std::iter::once(missed).chain(crowd.room.blocks()) {
                fresh.note(load.publication.block.bytes());
            }
            Box::new(fresh)
        });
        behind.members.extend(out);
    } else {
        out.into_iter().for_each(&mut drop);
    }
}

impl<I> Behind<I> {
    /// Nobody yet, in a room of this name.
    fn new(name: &[u8]) -> Self {
        let mut head = push_head(channel_of(name));
        head.extend_from_slice(b"\"pub\":");
        Self { head, newest: Vec::new(), members: VecDeque::new() }
    }

    /// Keeps the last publication of a block, if it has one: a block of joins and leaves is not
    /// what somebody waits for.
    pub(super) fn note(&mut self, mut frames: &[u8]) {
        let mut found = None;
        while let Ok(Some(header)) = frame::decode(frames, false)
            && let Some((_, rest)) = frames.split_at_checked(usize::from(header.size))
            && let Some((payload, after)) = rest.split_at_checked(header.len as usize)
        {
            if payload.starts_with(&self.head) {
                found = Some(payload);
            }
            frames = after;
        }
        if let Some(push) = found {
            self.newest.clear();
            self.newest.extend_from_slice(push);
        }
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
                        if !behind.newest.is_empty() {
                            reach.say(id, &behind.newest);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_publication_is_kept_until_a_newer_one_comes() {
        let push = |what: &str| format!("{{\"push\":{{\"channel\":\"a\",{what}}}}}");
        let block = |pushes: &[&String]| {
            let mut block = Vec::new();
            for text in pushes {
                block.extend([0x81, text.len() as u8]);
                block.extend(text.bytes());
            }
            block
        };
        let (one, two) = (push("\"pub\":{\"data\":1}"), push("\"pub\":{\"data\":2}"));
        // What a client says of itself is no publication, however it looks.
        let join = push("\"join\":{\"info\":{\"conn_info\":{\"x\":1,\"pub\":{}}}}");
        let mut behind = Behind::<u32>::new(b"#a");
        behind.note(&block(&[&join]));
        assert_eq!(behind.newest, b"");
        behind.note(&block(&[&one, &two, &join]));
        assert_eq!(behind.newest, two.as_bytes());
        behind.note(&block(&[&join]));
        behind.note(&block(&[&one])[..1]);
        behind.note(&[]);
        assert_eq!(behind.newest, two.as_bytes(), "nothing newer came");
        behind.note(&block(&[&one]));
        assert_eq!(behind.newest, one.as_bytes());
    }
}
