//! How a connection lives by the clock: its one deadline, and what is due when that has come.

use std::time::Duration;

use super::Conn;
use super::closing::Phase;
use super::end::End;
use super::gear::Gear;
use super::sender::stage_frame;
use super::settings::Tick;
use crate::wire::close::CloseCode;
use crate::wire::frame::Opcode;
use crate::wire::handshake::Refusal;

/// The beat of a connection whose ping interval is exactly that of the settings.
pub(super) const MIDDLE_BEAT: u8 = 128;

/// The part of the interval over which the pings of connections with one history are spread after
/// one round; after so many they are spread evenly over all of it.
const SPREAD: u64 = 8;

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
        if let Some(interval) = gear.ping_interval {
            if self.pinged != Tick(0) {
                if gear.now >= self.pinged.plus(gear.settings.pong_timeout) {
                    self.gone(End::PongTimeout);
                    return false;
                }
            } else if gear.now >= self.ping_due(interval) {
                stage_frame(gear, true, Opcode::Ping, &[]);
                self.pinged = gear.now;
                pinged = true;
            }
        }
        self.set_deadline(self.next_check(gear));
        pinged
    }

    /// When a peer that stays silent is pinged. Those who came in one tick would be pinged in one
    /// tick for ever, if all had the same interval. Reckoned in 256ths of a tick and rounded up or
    /// down as if by dice (Knuth's multiplicative hash), so that those whose intervals differ by
    /// less than a tick part as well.
    fn ping_due(&self, interval: Duration) -> Tick {
        let mean = (interval.as_secs_f64() * f64::from(256 * Tick::PER_SECOND)) as u64;
        let mean = mean.min(u64::from(u32::MAX) << 8);
        let own = mean - mean / (2 * SPREAD) + mean * u64::from(self.beat) / (SPREAD * 256);
        let mixed = (self.heard.0 << 8 | u32::from(self.beat)).wrapping_mul(0x9E37_79B1);
        self.heard.after((own + u64::from(mixed >> 24)) >> 8)
    }

    /// The earliest moment at which an open connection must be looked at again.
    pub(super) fn next_check(&self, gear: &Gear) -> Tick {
        let settings = &gear.settings;
        let idle = settings.idle_timeout.map(|idle| self.message.plus(idle));
        let ping = gear.ping_interval.map(|interval| match self.pinged {
            Tick(0) => self.ping_due(interval),
            pinged => pinged.plus(settings.pong_timeout),
        });
        idle.into_iter().chain(ping).min().unwrap_or(Tick(u32::MAX))
    }
}
