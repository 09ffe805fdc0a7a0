//! Floor 1: one WebSocket connection as a state machine. No sockets, no clock: bytes and time are
//! arguments, and what must be done is an answer.
//!
//! # The contract of [`Conn`]
//!
//! What many connections share (bounds, buffers, the stage, the coarse clock) is in [`Gear`], one
//! for each shard, lent for each call. In one turn a shard calls, in this order:
//!
//! 1. [`Conn::restore_tail`], to put kept bytes in front of what it reads; or [`Conn::direct`], to
//!    read straight into a large message's buffer, then [`Conn::received`];
//! 2. [`Conn::next`] until it gives `None` (or its parts: [`Conn::next_whole`] as long as that
//!    gives messages, then [`Conn::next_other`] unless [`Conn::has_done`] with the input): each
//!    [`Event`] borrows the read buffer, never the connection, so that the App may answer through
//!    [`Conn::sender`] while it looks at the event; a message then goes back by
//!    [`Message::reclaim`];
//! 3. one write of [`Gear::stage`], then [`Conn::settle`] with the number of bytes the socket took
//!    (if bytes are owed from before, nothing is written first: `settle(0)`, then the outbox);
//! 4. unless [`Conn::is_settled`]: [`Conn::step`], which says what to do with the socket, and
//!    [`Conn::take_deadline`].
//!
//! The same bytes, cut in any way, give the same events and the same answers.

mod assemble;
mod block;
mod buffer;
mod closing;
mod deadline;
mod end;
mod gear;
mod input;
mod join;
mod life;
mod message;
mod opening;
mod outbox;
mod sender;
mod settings;
mod side;
mod stage;

use std::rc::Rc;

pub use assemble::MAX_TAIL;
pub use block::{Block, Shared, Tally};
pub use buffer::{Buffer, HEADROOM, Pool};
pub use closing::Step;
pub use end::{ConnectFault, End};
pub use gear::Gear;
pub use input::Input;
pub use life::Admission;
pub use message::{Control, Event, Kind, Message};
pub use opening::{Opening, Upgrade};
pub use outbox::Outbox;
pub use sender::Sender;
pub use settings::{Settings, Tick};
pub use side::Side;
pub use stage::Stage;

use assemble::Partial;
use closing::Phase;
use message::Body;
use sender::stage_frame;

use crate::wire::close::parse_body;
use crate::wire::frame::{self, Header, Opcode};
use crate::wire::mask::Key;
use crate::wire::utf8::Utf8;
use crate::wire::violation::Violation;

/// One connection. An idle one owns nothing on the heap.
#[derive(Debug)]
pub struct Conn {
    phase: Phase,
    partial: Option<Box<Partial>>,
    outbox: Option<Box<Outbox>>,
    heard: Tick,
    message: Tick,
    pinged: Tick,
    deadline: Tick,
    beat: u8,
    deadline_moved: bool,
    shut: bool,
    peer_done: bool,
}

impl Conn {
    /// The server's end of a fresh TCP connection.
    pub fn server(gear: &mut Gear) -> Self {
        Self::new(Opening::server(gear.heads()), gear)
    }

    /// The client's end of a TCP connection that is being made; [`Conn::ask`] once it stands.
    pub fn client(upgrade: Rc<Upgrade>, gear: &mut Gear) -> Self {
        Self::new(Opening::client(upgrade, gear.heads()), gear)
    }

    fn new(opening: Opening, gear: &mut Gear) -> Self {
        Self {
            phase: Phase::Opening(Box::new(opening)),
            partial: None,
            outbox: None,
            heard: gear.now,
            message: gear.now,
            pinged: Tick(0),
            deadline: gear.now.plus(gear.settings.handshake_timeout),
            beat: gear.next_beat(),
            deadline_moved: true,
            shut: false,
            peer_done: false,
        }
    }

    /// Client: TCP stands, send the upgrade request.
    pub fn ask(&mut self, gear: &mut Gear) {
        if let Phase::Opening(opening) = &mut self.phase
            && let Some(asked) = &mut opening.asked
        {
            let mut bytes = Vec::with_capacity(256);
            asked.accept = asked.upgrade.request().write(gear.nonce(), &mut bytes);
            gear.stage.copy(&bytes);
        }
    }

    // What comes in.

    /// Bytes that [`Conn::restore_tail`] will put in front, [`MAX_TAIL`] at most.
    #[inline]
    pub fn restore_tail(&mut self, front: &mut [u8], gear: &mut Gear) -> usize {
        let Some(partial) = &mut self.partial else { return 0 };
        let len = partial.restore_tail(front);
        self.tidy(gear);
        len
    }

    /// Room for the payload of a large message, to be read into before anything else.
    #[inline]
    pub fn direct(&mut self, gear: &mut Gear) -> Option<&mut [u8]> {
        self.partial.as_mut()?.direct(gear)
    }

    /// `n` bytes were read into [`Conn::direct`].
    pub fn received(&mut self, n: usize, gear: &mut Gear) {
        let outcome = self.partial.as_mut().map(|partial| partial.received(n, gear));
        if let Some(Err(violation)) = outcome {
            self.fail(violation, gear);
        }
    }

    /// Bytes were read: the peer is alive.
    #[inline]
    pub fn heard(&mut self, gear: &Gear) {
        self.heard = gear.now;
    }

    /// The next event in the input; `None` when the rest is incomplete (and kept) or void.
    #[inline(never)]
    pub fn next<'b>(&mut self, input: &mut Input<'b>, gear: &mut Gear) -> Option<Event<'b>> {
        match self.next_whole(input, gear) {
            Some(message) => Some(Event::Message(message)),
            None => self.next_other(input, gear),
        }
    }

    /// The events that [`Conn::next_whole`] does not give: to be asked for when it gave `None`.
    #[inline(never)]
    pub fn next_other<'b>(&mut self, input: &mut Input<'b>, gear: &mut Gear) -> Option<Event<'b>> {
        if self.has_done(input) {
            return None;
        }
        if self.partial.is_none()
            && self.reads_frames()
            && let Some(message) = self.next_joined(input, gear)
        {
            return Some(Event::Message(message));
        }
        self.next_rare(input, gear)
    }

    /// Whether there is no event to come: the input is used up, and nothing is incomplete.
    #[inline]
    pub fn has_done(&self, input: &Input<'_>) -> bool {
        input.rest().is_empty() && self.partial.is_none()
    }

    /// The common case of [`Conn::next`], alone and inline: nothing is incomplete, and the next
    /// frame is a whole message that is all here. Unmasked where it lies.
    #[expect(
        clippy::inline_always,
        reason = "a call for each small message is a tenth of its cost"
    )]
    #[inline(always)]
    pub fn next_whole<'b>(
        &mut self,
        input: &mut Input<'b>,
        gear: &mut Gear,
    ) -> Option<Message<'b>> {
        if self.partial.is_some() || !self.reads_frames() {
            return None;
        }
        let header = frame::glance(input.rest(), gear.settings.side.peer_masks())?;
        self.take_whole(header, input, gear)
    }

    /// The message that this header begins, if the frame is all of it and all here. `None` takes
    /// nothing, unless its text is not valid: then the connection has failed.
    #[expect(
        clippy::inline_always,
        reason = "a call for each small message is a tenth of its cost"
    )]
    #[inline(always)]
    fn take_whole<'b>(
        &mut self,
        header: Header,
        input: &mut Input<'b>,
        gear: &mut Gear,
    ) -> Option<Message<'b>> {
        let kind = match header.opcode {
            Opcode::Text => Kind::Text,
            Opcode::Binary => Kind::Binary,
            _ => return None,
        };
        if !header.fin || header.len > gear.settings.max_message as u64 {
            return None;
        }
        let (size, len) = (usize::from(header.size), header.len as usize);
        if size + len > input.rest().len() {
            return None;
        }
        let at = input.at();
        let frame = input.take(size + len);
        let payload = &mut frame[size..];
        if kind == Kind::Text {
            self.check_text(header.key, payload, gear)?;
        } else if gear.settings.side.peer_masks() {
            gear.masker.apply(header.key, payload);
        }
        self.message = gear.now;
        gear.count_received();
        Some(Message { kind, body: Body::InPlace { frame, at, header: size } })
    }

    /// Unmasks a whole text message; `None` if it is not valid.
    #[inline(never)]
    fn check_text(&mut self, key: Key, payload: &mut [u8], gear: &mut Gear) -> Option<()> {
        let mut utf8 = Utf8::default();
        let valid = gear.masker.apply_text(key, payload, &mut utf8);
        let outcome = valid.and_then(|()| utf8.finish()).ok();
        if outcome.is_none() {
            self.fail(Violation::InvalidUtf8, gear);
        }
        outcome
    }

    /// Everything else: heads, control frames, what is incomplete, and every violation.
    #[inline(never)]
    fn next_rare<'b>(&mut self, input: &mut Input<'b>, gear: &mut Gear) -> Option<Event<'b>> {
        match &self.phase {
            Phase::Open | Phase::CloseSent(_) => match self.next_frame(input, gear) {
                Ok(event) => event,
                Err(violation) => {
                    self.fail(violation, gear);
                    input.discard();
                    None
                }
            },
            Phase::Opening(_) => self.next_head(input, gear),
            Phase::Finishing(_) | Phase::Gone(_) => {
                input.discard();
                None
            }
        }
    }

    fn next_frame<'b>(
        &mut self,
        input: &mut Input<'b>,
        gear: &mut Gear,
    ) -> Result<Option<Event<'b>>, Violation> {
        loop {
            if let Some(partial) = &mut self.partial {
                if let Some(message) = partial.fill(input, gear)? {
                    self.message = gear.now;
                    gear.count_received();
                    self.tidy(gear);
                    return Ok(Some(Event::Message(message)));
                }
                if partial.mid_frame() {
                    return Ok(None);
                }
            }
            let header = frame::decode(input.rest(), gear.settings.side.peer_masks())?;
            let whole = header.map_or(u64::MAX, |h| h.len + u64::from(h.size));
            let all_here = whole <= input.rest().len() as u64;
            let Some(header) = header.filter(|h| all_here || !h.opcode.is_control()) else {
                self.keep_tail(input, gear);
                return Ok(None);
            };
            if header.opcode.is_control() {
                let event = self.control(&header, input, gear)?;
                if event.is_some() || !self.reads_frames() {
                    return Ok(event);
                }
            } else if self.partial.is_some() {
                self.data(&header, input, gear)?;
            } else if let Some(message) = self.take_whole(header, input, gear) {
                return Ok(Some(Event::Message(message)));
            } else if self.reads_frames() {
                self.data(&header, input, gear)?;
            } else {
                input.discard();
                return Ok(None);
            }
        }
    }

    /// A data frame that is not a whole message in place: a message begins or grows.
    fn data(
        &mut self,
        header: &Header,
        input: &mut Input<'_>,
        gear: &mut Gear,
    ) -> Result<(), Violation> {
        let in_message = self.partial.as_ref().is_some_and(|p| p.in_message());
        let kind = match (header.opcode, in_message) {
            (Opcode::Continuation, true) => None,
            (Opcode::Continuation, false) => return Err(Violation::StrayContinuation),
            (_, true) => return Err(Violation::InterleavedMessage),
            (Opcode::Text, false) => Some(Kind::Text),
            (_, false) => Some(Kind::Binary),
        };
        input.take(usize::from(header.size));
        let partial = self.partial(gear);
        match kind {
            Some(kind) => partial.begin(kind, header, gear),
            None => partial.resume(header, gear),
        }
    }

    /// A whole control frame. A ping is answered here, a close ends the reading of frames.
    fn control<'b>(
        &mut self,
        header: &Header,
        input: &mut Input<'b>,
        gear: &mut Gear,
    ) -> Result<Option<Event<'b>>, Violation> {
        let size = usize::from(header.size);
        let payload = &mut input.take(size + header.len as usize)[size..];
        gear.masker.apply(header.key, payload);
        match header.opcode {
            Opcode::Ping => {
                self.pong(payload, gear);
                Ok(Some(Event::Control(Control::Ping(payload))))
            }
            Opcode::Pong => Ok(Some(Event::Control(Control::Pong(payload)))),
            _ => {
                let (code, _reason) = parse_body(payload)?;
                self.peer_closes(code, gear);
                input.discard();
                Ok(None)
            }
        }
    }

    //# RFC 6455 5.5.2: Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in
    //# response, unless it already received a Close frame.
    //# RFC 6455 5.5.3: it MAY elect to send a Pong frame for only the most recently processed Ping.
    fn pong(&mut self, payload: &[u8], gear: &mut Gear) {
        let bound = gear.settings.pong_queue;
        if self.outbox.as_mut().is_none_or(|outbox| outbox.admit_pong(payload, bound)) {
            stage_frame(gear, true, Opcode::Pong, payload);
        }
    }

    fn keep_tail(&mut self, input: &mut Input<'_>, gear: &mut Gear) {
        let n = input.rest().len();
        if n > 0 {
            self.partial(gear).keep_tail(input.take(n));
        }
    }

    /// The box of incomplete things, from the shard if it has none.
    fn partial(&mut self, gear: &mut Gear) -> &mut Partial {
        self.partial.get_or_insert_with(|| gear.partials.pop().unwrap_or_default())
    }

    /// Gives the box of incomplete things back once it is empty.
    #[inline]
    fn tidy(&mut self, gear: &mut Gear) {
        if let Some(partial) = self.partial.take_if(|p| p.is_empty()) {
            gear.keep(partial);
        }
    }

    #[inline]
    fn reads_frames(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::CloseSent(_))
    }
}

#[cfg(test)]
mod tests;
