//! One block to many sockets: the inner loop of a broadcast.
//!
//! What a delivery costs here is paid a thousand times for each message, and between two of them
//! the kernel has had the caches. So the loop does three things for each member (find it, see that
//! nothing is in the way, one call), counts for the run as a whole, and leaves what is rare, a
//! socket that takes less or a member that owes, to functions of their own.

use super::core::{Core, Kit};
use super::net::{Net, Sent};
use super::slab::ConnId;
use super::slot::Slot;
use crate::conn::{Admission, End, Shared};
use crate::wire::close::CloseCode;

/// What becomes of a member that is over its water mark.
#[derive(Debug)]
pub enum OnSlow<'a> {
    /// It is closed with this code and reason.
    Close(CloseCode, &'static str),
    /// It is left out; its place in the run is added to these.
    Skip(&'a mut Vec<u32>),
}

impl<N: Net, S> Core<N, S> {
    /// Sends shared frames of so many messages to a run of members, straight from where they lie,
    /// and keeps a reference for each whose socket does not take all of them. `None` is nobody.
    pub(super) fn publish(
        &mut self,
        to: &[Option<ConnId>],
        shared: &Shared,
        messages: u32,
        mut policy: OnSlow<'_>,
    ) {
        let Self { slab, kit, .. } = self;
        let frames = shared.bytes();
        let (mut calls, mut bytes, mut whole) = (0, 0, 0);
        for (place, id) in to.iter().enumerate() {
            let Some(id) = id else { continue };
            let Some(slot) = slab.get_mut(*id) else { continue };
            if !slot.conn.is_clear() {
                kit.owe_all(*id, slot, shared, messages, (&mut policy, place));
                continue;
            }
            calls += 1;
            match kit.net.write(&mut slot.stream, &[frames]) {
                Sent::Bytes(n) => {
                    bytes += n as u64;
                    if n == frames.len() {
                        whole += 1;
                    } else {
                        kit.owe(*id, slot, shared, n, messages);
                    }
                }
                Sent::Blocked => kit.owe(*id, slot, shared, 0, messages),
                Sent::Failed(why) => kit.fail(*id, slot, why),
            }
        }
        kit.flow.wrote(calls, bytes);
        kit.gear.count_sent(whole * u64::from(messages));
    }
}

impl<N: Net> Kit<N> {
    /// A member owes already, or is closing.
    #[cold]
    fn owe_all<S>(
        &mut self,
        id: ConnId,
        slot: &mut Slot<N::Stream, S>,
        shared: &Shared,
        messages: u32,
        (policy, place): (&mut OnSlow<'_>, usize),
    ) {
        match slot.conn.admit(shared.bytes().len(), &self.gear) {
            Admission::Closed => {}
            Admission::Slow => match policy {
                OnSlow::Close(code, reason) => {
                    slot.conn.close_slow(*code, reason, &mut self.gear);
                    self.flush(id, slot, &[]);
                }
                OnSlow::Skip(places) => places.push(place as u32),
            },
            Admission::Taken => self.owe(id, slot, shared, 0, messages),
        }
    }

    /// Keeps for a member what its socket has not taken of shared frames.
    #[cold]
    fn owe<S>(
        &mut self,
        id: ConnId,
        slot: &mut Slot<N::Stream, S>,
        shared: &Shared,
        written: usize,
        messages: u32,
    ) {
        slot.conn.share(shared, written);
        self.gear.count_sent(u64::from(messages));
        self.watch_writable(id, slot);
        self.after(id, slot);
    }

    #[cold]
    fn fail<S>(&mut self, id: ConnId, slot: &mut Slot<N::Stream, S>, why: &'static str) {
        slot.conn.handle_fault(End::Socket(why));
        self.after(id, slot);
    }
}
