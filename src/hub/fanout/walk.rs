//! The walks: blocks to members, in slices that are bounded for each turn.

use super::behind::leave_out;
use super::{Crowd, Fanout, Load, Reach, Service};
use crate::hub::namespace::Slow;
use crate::hub::rooms::Bye;
use crate::limits;
use crate::shard::OnSlow;
use crate::wire::close::CloseCode;

impl<I: Copy + PartialEq, S: Clone> Fanout<I, S> {
    /// A slice of the walks. True: some are left over.
    pub(in crate::hub) fn walk(&mut self, reach: &mut impl Reach<I, S>) -> bool {
        let mut deliveries = limits::DELIVERIES_PER_TURN;
        let mut bytes = limits::DELIVERY_BYTES_PER_TURN;
        while deliveries > 0 && bytes > 0 {
            let Some(number) = self.walking.pop_front() else { break };
            let Some(crowd) = self.crowds.get(number) else { continue };
            let mut slice = deliveries.min(limits::DELIVERIES_PER_SLICE);
            deliveries -= slice;
            while let Some(load) = crowd.room.walked()
                && slice > 0
                && bytes > 0
            {
                let len = load.publication.block.bytes().len();
                let most = slice.min(bytes.div_ceil(len));
                let first = crowd.room.at();
                let (places, missed) = deliver(crowd, most, &mut self.skipped, reach);
                if let Some(missed) = missed {
                    let skipped = self.skipped.drain(..).map(|place| first + place as usize);
                    leave_out(crowd, number, &missed, skipped, reach, |id| {
                        self.dropped.push((number, id));
                    });
                    if crowd.behind.is_some() && !self.behind.contains(&number) {
                        self.behind.push(number);
                    }
                }
                slice -= places;
                bytes = bytes.saturating_sub(places * len);
            }
            deliveries += slice;
            crowd.is_walking = crowd.room.is_walking();
            if crowd.is_walking {
                self.walking.push_back(number);
            } else if crowd.room.len() == 0 && !std::mem::replace(&mut crowd.is_left, true) {
                self.left.push(number);
            }
        }
        !self.walking.is_empty()
    }
}

/// Hands the next places of a crowd's first walk its block, and says how many they were; and the
/// block, if it left somebody out.
fn deliver<I: Copy + PartialEq, S: Clone>(
    crowd: &mut Crowd<I, S>,
    most: usize,
    skipped: &mut Vec<u32>,
    reach: &mut impl Reach<I, S>,
) -> (usize, Option<Load<S>>) {
    let (service, mut missed) = (crowd.service, None);
    let places = crowd.room.slice(most, |to, load| {
        let slow = match service {
            Service::Broadcast => OnSlow::Close(CloseCode::POLICY, "too slow"),
            Service::Room(Slow::Close) => OnSlow::Close(Bye::SLOW.0, Bye::SLOW.1),
            Service::Room(Slow::Latest | Slow::Drop) => OnSlow::Skip(skipped),
        };
        reach.publish(to, &load.shared, load.publication.messages, slow);
        if !skipped.is_empty() {
            missed = Some(load.clone());
        }
    });
    (places, missed)
}
