//! The connection as a whole, judged by its contract: vectors, properties, two machines in virtual
//! time, and the faults that real servers had.
#![allow(clippy::unwrap_used)]

use crate::wire::close::CloseCode;
use crate::{conn, wire};

pub(super) mod drive;
mod faults;
mod life;
pub(super) mod naive;
mod pair;
pub(super) mod place;
mod splits;

impl drive::Rig {
    /// As a shard asks: a member that is too slow is closed.
    fn admit(&mut self, len: usize) -> conn::Admission {
        let admission = self.conn.admit(len, &self.gear);
        if admission == conn::Admission::Slow {
            self.conn.close_slow(CloseCode::POLICY, "too slow", &mut self.gear);
        }
        admission
    }

    /// As a shard that drains.
    fn go_away(&mut self) {
        self.conn.go_away(CloseCode::GOING_AWAY, "server is shutting down", &mut self.gear);
    }
}
