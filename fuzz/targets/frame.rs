//! Frame headers: decode and encode agree, and no byte that is still to come changes a verdict.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::wire::frame::{MAX_CONTROL, MAX_HEADER, decode, encode};

fuzz_target!(|input: (bool, &[u8])| {
    let (masked, bytes) = input;
    let whole = decode(bytes, masked);
    for cut in 0..bytes.len().min(MAX_HEADER) {
        let part = decode(&bytes[..cut], masked);
        assert!(part == Ok(None) || part == whole, "{part:?} after {cut} bytes, then {whole:?}");
    }
    let Ok(Some(header)) = whole else {
        assert!(
            whole.is_err() || bytes.len() < MAX_HEADER,
            "incomplete with {} bytes",
            bytes.len()
        );
        return;
    };
    assert!(header.len >> 63 == 0);
    if header.opcode.is_control() {
        assert!(header.fin && header.len <= MAX_CONTROL as u64);
    }
    // The shortest form is the only one: what was read is what would be written.
    let mut again = [0; MAX_HEADER];
    let key = masked.then_some(header.key);
    let size = encode(header.fin, header.opcode, header.len as usize, key, &mut again);
    assert_eq!(size, usize::from(header.size));
    assert_eq!(again[..size], bytes[..size]);
});
