//! How a connection opens, sends and ends: what of [`Conn`] is about neither frames nor the clock.

use super::Conn;
use super::block::Shared;
use super::closing::{Phase, Step};
use super::end::End;
use super::gear::Gear;
use super::outbox::Outbox;
use super::sender::{Sender, stage_close, stage_frame};
use super::side::Side;
use crate::wire::close::CloseCode;
use crate::wire::frame::Opcode;
use crate::wire::handshake::{AcceptKey, Refusal, write_switching};
use crate::wire::violation::Violation;

/// Whether a publish reached its member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// The bytes are queued, or may be written.
    Taken,
    /// The member would be over its water mark: [`Conn::close_slow`], or leave it out.
    Slow,
    /// The connection is not open.
    Closed,
}

impl Conn {
    // Opening.

    /// Server: answers 101. What follows the head is frames.
    pub fn accept(&mut self, accept: &AcceptKey, protocol: Option<&str>, gear: &mut Gear) {
        debug_assert!(self.is_opening(), "one answer to one head");
        let mut bytes = Vec::with_capacity(160);
        write_switching(&mut bytes, accept, protocol);
        gear.stage.copy(&bytes);
        self.opened(gear);
    }

    /// Server: refuses the upgrade, names the reason, and closes. No later byte is interpreted.
    pub fn refuse(&mut self, refusal: &Refusal, gear: &mut Gear) {
        debug_assert!(self.is_opening(), "one answer to one head");
        let mut bytes = Vec::with_capacity(512);
        refusal.write(&mut bytes);
        gear.stage.copy(&bytes);
        gear.refused += 1;
        self.finish(End::Refused(refusal.name()), gear);
    }

    pub(super) fn opened(&mut self, gear: &Gear) {
        self.phase = Phase::Open;
        self.message = gear.now;
        self.heard = gear.now;
        self.set_deadline(self.next_check(gear));
    }

    /// Whether the handshake is complete and nothing has begun to close.
    #[inline]
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Whether the handshake is still under way.
    pub fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::Opening(_))
    }

    // What goes out.

    /// The way to the peer.
    #[inline]
    pub fn sender<'a>(&'a mut self, gear: &'a mut Gear) -> Sender<'a> {
        Sender { conn: self, gear }
    }

    /// Bytes owed from earlier turns.
    #[inline]
    pub fn pending(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.bytes())
    }

    /// Whether bytes are owed from earlier turns: then nothing may be written past them.
    #[inline]
    pub fn owes(&self) -> bool {
        self.outbox.is_some()
    }

    /// Whether shared frames may be written to the socket at once: it is open and owes nothing.
    #[inline]
    pub fn is_clear(&self) -> bool {
        self.is_open() && self.outbox.is_none()
    }

    /// The stage's turn is over: the socket took its first `written` bytes, the rest is owed.
    #[inline]
    pub fn settle(&mut self, written: usize, input: &[u8], gear: &mut Gear) {
        if written == gear.stage.len() {
            gear.stage.clear(&mut gear.pool);
        } else {
            let outbox = self.outbox.get_or_insert_default();
            outbox.absorb(&mut gear.stage, input, written, &mut gear.pool);
        }
    }

    /// What is owed, first bytes first.
    pub fn owed(&self) -> impl Iterator<Item = &[u8]> {
        self.outbox.iter().flat_map(|outbox| outbox.slices())
    }

    /// The socket took `n` of the owed bytes. At the end a pong that was held back follows.
    pub fn paid(&mut self, n: usize, gear: &mut Gear) {
        if n > 0 {
            // A peer that reads is alive and busy, even while its own bytes wait behind the mark.
            self.heard = gear.now;
            self.message = gear.now;
            if matches!(self.phase, Phase::Finishing(_)) {
                self.set_deadline(gear.now.plus(gear.settings.close_timeout));
            }
        }
        let Some(outbox) = &mut self.outbox else { return };
        outbox.advance(n, &mut gear.pool);
        if let Some((len, data)) = outbox.held_pong() {
            stage_frame(gear, true, Opcode::Pong, &data[..usize::from(len)]);
            outbox.absorb(&mut gear.stage, &[], 0, &mut gear.pool);
        }
        self.outbox.take_if(|outbox| outbox.is_empty());
    }

    /// Whether shared frames may go to this peer, or would take it over its water mark: a slow
    /// member never holds up the others.
    #[inline]
    pub fn admit(&self, len: usize, gear: &Gear) -> Admission {
        if !self.is_open() {
            return Admission::Closed;
        }
        // One block larger than the mark is still due to a member that owes nothing.
        if let Some(outbox) = self.outbox.as_ref().filter(|outbox| outbox.bytes() > 0)
            && outbox.cost() + len > gear.settings.max_pending
        {
            return Admission::Slow;
        }
        Admission::Taken
    }

    /// Keeps a reference to shared frames of which the socket took `written` bytes.
    pub fn share(&mut self, shared: &Shared, written: usize) {
        if written < shared.bytes().len() {
            self.outbox.get_or_insert_default().share(shared.clone(), written);
        }
    }

    // Closing.

    /// Sends a close frame once, then waits for the peer's.
    pub(super) fn begin_close(&mut self, code: CloseCode, reason: &str, end: End, gear: &mut Gear) {
        if self.is_open() {
            stage_close(gear, code, reason);
            self.phase = Phase::CloseSent(Box::new(end));
            self.set_deadline(gear.now.plus(gear.settings.close_timeout));
        }
    }

    /// Asks the peer to leave: with `code` when open, a refusal when it has not come in yet. A
    /// client that has not come in itself just leaves.
    pub fn go_away(&mut self, code: CloseCode, reason: &str, gear: &mut Gear) {
        match (&self.phase, gear.settings.side) {
            (Phase::Opening(_), Side::Server) => self.refuse(&Refusal::ShuttingDown, gear),
            (Phase::Opening(_), Side::Client) => self.gone(End::Shutdown),
            _ => {
                self.begin_close(code, reason, End::ClosedByUs(code), gear);
            }
        }
    }

    /// Closes a member that does not take what it is owed; what has not begun to leave is dropped.
    pub fn close_slow(&mut self, code: CloseCode, reason: &str, gear: &mut Gear) {
        if let Some(outbox) = &mut self.outbox {
            outbox.cut(&mut gear.pool);
        }
        self.begin_close(code, reason, End::Slow, gear);
    }

    /// Memory is short: drops what is owed and the connection with it.
    pub fn shed(&mut self, gear: &mut Gear) {
        self.leave(End::Memory);
        self.release(gear);
    }

    //# RFC 6455 5.5.1: If an endpoint receives a Close frame and did not previously send a Close
    //# frame, the endpoint MUST send a Close frame in response.
    pub(super) fn peer_closes(&mut self, code: CloseCode, gear: &mut Gear) {
        let before = std::mem::replace(&mut self.phase, Phase::Open);
        let end = if let Phase::CloseSent(end) = before {
            *end
        } else {
            stage_close(gear, code, "");
            End::ClosedByPeer(code)
        };
        self.finish(end, gear);
        //# RFC 6455 7.1.1: in most normal cases, the TCP connection SHOULD be closed first by the
        //# server, so that it holds the TIME_WAIT state and not the client.
        self.shut = gear.settings.side == Side::Client;
    }

    pub(super) fn fail(&mut self, violation: Violation, gear: &mut Gear) {
        let end = match std::mem::replace(&mut self.phase, Phase::Open) {
            Phase::Open => {
                stage_close(gear, violation.close_code(), &violation.to_string());
                End::Violation(violation)
            }
            Phase::CloseSent(first) if first.is_verdict() => *first,
            Phase::CloseSent(_) => End::Violation(violation),
            other => {
                self.phase = other;
                return;
            }
        };
        self.finish(end, gear);
    }

    /// No frame is read any more; what is owed is written, then FIN.
    fn finish(&mut self, end: End, gear: &mut Gear) {
        self.phase = Phase::Finishing(Box::new(end));
        self.set_deadline(gear.now.plus(gear.settings.close_timeout));
        if let Some(outbox) = &mut self.outbox {
            outbox.drop_held_pong();
        }
        if let Some(mut partial) = self.partial.take() {
            partial.release(gear);
            gear.keep(partial);
        }
    }

    pub(super) fn gone(&mut self, end: End) {
        self.phase = Phase::Gone(Box::new(end));
    }

    /// The peer's FIN. One that has said its close may still read what it is owed.
    pub fn handle_eof(&mut self) {
        if matches!(self.phase, Phase::Finishing(_)) && self.outbox.is_some() {
            self.peer_done = true;
        } else {
            self.leave(End::Eof);
        }
    }

    /// The socket failed.
    pub fn handle_fault(&mut self, end: End) {
        self.leave(end);
    }

    /// Ends at once. A reason that was fixed before stands.
    pub(super) fn leave(&mut self, end: End) {
        let end = match std::mem::replace(&mut self.phase, Phase::Open) {
            Phase::Finishing(first) | Phase::Gone(first) => *first,
            Phase::CloseSent(first) if first.is_verdict() => *first,
            _ => end,
        };
        self.gone(end);
    }

    /// Whether the turn that ends left nothing to see to: the connection is open, owes nothing, and
    /// no deadline moved. Then [`Conn::step`] has nothing to say.
    #[inline]
    pub fn is_settled(&self) -> bool {
        self.is_open() && self.outbox.is_none() && !self.deadline_moved
    }

    /// What to do with the socket now.
    pub fn step(&mut self, gear: &Gear) -> Step {
        match self.phase {
            Phase::Gone(_) => Step::Close,
            Phase::Finishing(_) if self.outbox.is_none() && self.peer_done => {
                self.leave(End::Eof);
                Step::Close
            }
            Phase::Finishing(_) if self.outbox.is_none() && !self.shut => {
                self.shut = true;
                self.set_deadline(gear.now.plus(gear.settings.close_timeout));
                Step::Finish
            }
            _ => Step::Stay,
        }
    }

    /// Why it ended. Gives all memory back.
    pub fn end(mut self, gear: &mut Gear) -> End {
        self.release(gear);
        match self.phase {
            Phase::Finishing(end) | Phase::Gone(end) => *end,
            Phase::CloseSent(end) if end.is_verdict() => *end,
            // Nothing was answered yet: it was cut.
            Phase::Opening(_) | Phase::Open | Phase::CloseSent(_) => End::Shutdown,
        }
    }

    /// Bytes it holds: what it owes and what is half received.
    pub fn memory(&self) -> usize {
        let head = match &self.phase {
            Phase::Opening(opening) => opening.memory(),
            _ => 0,
        };
        head + self.pending() + self.partial.as_ref().map_or(0, |partial| partial.memory())
    }

    fn release(&mut self, gear: &mut Gear) {
        if let Some(mut partial) = self.partial.take() {
            partial.release(gear);
            gear.keep(partial);
        }
        if let Some(mut outbox) = self.outbox.take() {
            Outbox::release(&mut outbox, &mut gear.pool);
        }
    }
}
