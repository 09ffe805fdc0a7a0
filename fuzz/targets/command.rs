//! Commands of rooms: any bytes are read as another JSON parser reads them, or refused.
#![no_main]

#[path = "command/check.rs"]
mod check;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| check::check(message));
