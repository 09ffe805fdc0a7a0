//! A client's connection: any bytes in any pieces, to a peer that takes its answers in any pieces,
//! tell one story within the memory that is allowed.
#![no_main]

#[path = "conn/drive.rs"]
mod drive;
#[path = "conn/program.rs"]
mod program;

use libfuzzer_sys::fuzz_target;
use plimsoll::conn::Side;

fuzz_target!(|bytes: &[u8]| {
    let case = program::case(Side::Client, bytes);
    drive::compare(Side::Client, &case.stream, case.way);
});
