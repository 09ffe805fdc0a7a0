//! One block to many sockets: the inner loop of a broadcast.
//!
//! What a delivery costs here is paid a thousand times for each message, and between two of them
//! the kernel has had the caches. So the loop does three things for each member (find it, see that
//! nothing is in the way, one call), counts for the run as a whole, and leaves what is rare, a
//! socket that takes less or a member that owes, to functions of their own.

use super::core::{Core, count_writes};
use super::net::{Net, Sent};
use super::slab::ConnId;
use crate::conn::{Admission, End, Shared};

impl<N: Net, S> Core<N, S> {
    /// Sends shared frames of so many messages to a run of members, straight from where they lie,
    /// and keeps a reference for each whose socket does not take all of them. `None` is nobody; who
    /// is over its water mark is closed.
    pub(super) fn publish(&mut self, to: &[Option<ConnId>], shared: &Shared, messages: u32) {
        let frames = shared.bytes();
        let (mut calls, mut bytes, mut whole) = (0, 0, 0);
        for id in to.iter().flatten() {
            let Some(slot) = self.slab.get_mut(*id) else { continue };
            if !slot.conn.is_clear() {
                self.owe(*id, shared, 0, messages);
                continue;
            }
            calls += 1;
            match self.net.write(&mut slot.stream, &[frames]) {
                Sent::Bytes(n) => {
                    bytes += n as u64;
                    if n == frames.len() {
                        whole += 1;
                    } else {
                        self.owe(*id, shared, n, messages);
                    }
                }
                Sent::Blocked => self.owe(*id, shared, 0, messages),
                Sent::Failed(why) => self.fail(*id, why),
            }
        }
        count_writes(self.counters(), calls, bytes);
        self.counters().messages_out.add(whole * u64::from(messages));
    }

    /// Keeps for a member what its socket has not taken of shared frames.
    #[cold]
    fn owe(&mut self, id: ConnId, shared: &Shared, written: usize, messages: u32) {
        let Some(slot) = self.slab.get_mut(id) else { return };
        match slot.conn.admit(shared.bytes().len(), &mut self.gear) {
            Admission::Closed => {}
            Admission::Slow => self.flush(id, None),
            Admission::Taken => {
                slot.conn.share(shared, written);
                self.counters().messages_out.add(messages.into());
                self.watch_writable(id);
                self.after(id);
            }
        }
    }

    #[cold]
    fn fail(&mut self, id: ConnId, why: &'static str) {
        let Some(slot) = self.slab.get_mut(id) else { return };
        slot.conn.handle_fault(End::Socket(why));
        self.after(id);
    }
}
