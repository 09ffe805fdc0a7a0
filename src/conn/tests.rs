//! The connection as a whole, judged by its contract: vectors, properties, two machines in virtual
//! time, and the faults that real servers had.
#![allow(clippy::unwrap_used)]

use crate::{conn, wire};

mod drive;
mod faults;
mod life;
mod naive;
mod pair;
mod splits;
