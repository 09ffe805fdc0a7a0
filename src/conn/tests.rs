//! The connection as a whole, judged by its contract: vectors, properties, two machines in virtual
//! time, and the faults that real servers had.
#![allow(clippy::unwrap_used)]

use crate::{conn, wire};

pub(super) mod drive;
mod faults;
mod life;
pub(super) mod naive;
mod pair;
pub(super) mod place;
mod splits;
