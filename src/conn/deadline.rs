//! How a connection lives by the clock: its one deadline, and what is due when that has come.

use super::Conn;
use super::closing::Phase;
use super::end::End;
use super::gear::Gear;
use super::sender::stage_frame;
use super::settings::Tick;
use crate::wire::close::CloseCode;
use crate::wire::frame::Opcode;
use crate::wire::handshake::Refusal;

impl Conn {
    /// Its bytes wait because we do not read: neither its silence nor its idleness counts. `deaf`:
    /// not even a pong could have been read for a reason of ours.
    pub fn excuse(&mut self, deaf: bool, gear: &Gear) {
        self.message = gear.now;
        if deaf {
            self.heard = gear.now;
        }
    }

    /// The deadline, if it moved since the last call; the loop then sets its wheel.
    #[inline]
    pub fn take_deadline(&mut self) -> Option<Tick> {
        std::mem::take(&mut self.deadline_moved).then_some(self.deadline)
    }

    pub(super) fn set_deadline(&mut self, at: Tick) {
        self.deadline = at;
        self.deadline_moved = true;
    }

    /// Whether [`Conn::handle_deadline`] would end it now. Bytes that arrived but were not read yet
    /// may change that: read first.
    pub fn is_overdue(&self, gear: &Gear) -> bool {
        gear.now >= self.deadline && (!self.is_open() || self.pinged != Tick(0))
    }

    /// The clock passed the deadline, or came near it. True if a ping was staged.
    pub fn handle_deadline(&mut self, gear: &mut Gear) -> bool {
        self.deadline_moved = true;
        if matches!(self.phase, Phase::Open) {
            // The ping interval may have shrunk since it was set.
            self.deadline = self.next_check(gear);
        }
        if gear.now < self.deadline {
            return false;
        }
        match &self.phase {
            Phase::Open => return self.check_open(gear),
            Phase::Opening(opening) if opening.asked.is_none() => {
                self.refuse(&Refusal::Timeout, gear);
                if let Phase::Finishing(end) = &mut self.phase {
                    **end = End::HandshakeTimeout;
                }
            }
            Phase::Opening(_) => self.gone(End::HandshakeTimeout),
            Phase::CloseSent(_) | Phase::Finishing(_) | Phase::Gone(_) => {
                self.leave(End::CloseTimeout);
            }
        }
        false
    }

    /// Idle too long, silent too long, or too early to say.
    fn check_open(&mut self, gear: &mut Gear) -> bool {
        if let Some(idle) = gear.settings.idle_timeout
            && gear.now >= self.message.plus(idle)
        {
            self.begin_close(CloseCode::GOING_AWAY, "idle", End::IdleTimeout, gear);
            return false;
        }
        if self.pinged != Tick(0) && self.heard >= self.pinged {
            self.pinged = Tick(0);
        }
        let mut pinged = false;
        if let Some(interval) = gear.settings.ping_interval {
            if self.pinged != Tick(0) {
                if gear.now >= self.pinged.plus(gear.settings.pong_timeout) {
                    self.gone(End::PongTimeout);
                    return false;
                }
            } else if gear.now >= self.heard.plus(interval) {
                stage_frame(gear, true, Opcode::Ping, &[]);
                self.pinged = gear.now;
                pinged = true;
            }
        }
        self.set_deadline(self.next_check(gear));
        pinged
    }

    /// The earliest moment at which an open connection must be looked at again.
    pub(super) fn next_check(&self, gear: &Gear) -> Tick {
        let settings = &gear.settings;
        let idle = settings.idle_timeout.map(|idle| self.message.plus(idle));
        let ping = settings.ping_interval.map(|interval| match self.pinged {
            Tick(0) => self.heard.plus(interval),
            pinged => pinged.plus(settings.pong_timeout),
        });
        idle.into_iter().chain(ping).min().unwrap_or(Tick(u32::MAX))
    }
}
