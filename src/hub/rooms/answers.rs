//! What the homes of rooms answer, on the shard of the client that asked.

use super::letter::{Answer, Channel, Key, Said};
use super::{Rooms, reply};
use crate::hub::fanout::{Fanout, Reach};
use crate::hub::publication::Delivery;

impl<I: Copy + PartialEq> Rooms<I> {
    /// A letter from the home of a room.
    pub(in crate::hub) fn answered<S: Clone>(
        &mut self,
        Answer { client: key, cost, said }: Answer,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) {
        fanout.answered(cost as usize);
        if !matches!(said, Said::Published { .. })
            && let Some(client) = self.clients.get_mut(key)
        {
            client.questions -= 1;
        }
        match said {
            Said::Reply(reply) => {
                self.say(key, &reply);
                self.unstall(key);
            }
            Said::Published { id, deliveries } => {
                let rate = self.settings.deliveries_per_client;
                let now = self.clock.micros();
                if let Some(client) = self.clients.get_mut(key) {
                    // What was done counts, be it more than a second's worth.
                    let cost = u64::from(deliveries) * 1_000_000;
                    let used = cost.checked_div(rate.into()).unwrap_or_default();
                    client.delivered = client.delivered.max(now) + used;
                    reply::empty(self.out(key), id, "publish");
                }
            }
            Said::Joined { channel, place, reply } => {
                self.joined(key, channel, place, &reply, fanout, reach);
            }
            Said::Refused { channel, reply } => {
                self.say(key, &reply);
                if let Some(crowd) = fanout.find(&channel) {
                    fanout.release(crowd);
                    self.clients.get_mut(key).and_then(|client| client.remove(crowd));
                }
                self.unstall(key);
            }
        }
    }

    /// A home has let a client in.
    fn joined<S: Clone>(
        &mut self,
        key: Key,
        channel: Channel,
        at_home: u32,
        reply: &[u8],
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) {
        let Some(crowd) = fanout.find(&channel) else { return };
        let client = self.clients.get_mut(key);
        let conn = client.and_then(|client| client.sub(crowd).is_some().then_some(client.conn)?);
        let Some(conn) = conn else {
            // It is gone.
            fanout.release(crowd);
            return self.left(channel, at_home, fanout, reach);
        };
        let place = fanout.join(crowd, conn);
        if let Some(sub) = self.clients.get_mut(key).and_then(|client| client.sub(crowd)) {
            (sub.place, sub.at_home) = (place, at_home);
        }
        self.say(key, reply);
        self.unstall(key);
    }

    /// A block for members here.
    pub(in crate::hub) fn receive<S: Clone>(
        Delivery { publication, .. }: Delivery,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) {
        if let Some(crowd) = fanout.find(&publication.name) {
            fanout.start(crowd, publication, reach);
        }
    }
}
