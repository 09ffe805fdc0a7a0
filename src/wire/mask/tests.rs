//! Each body of this CPU against the oracle, not only the one that is detected.

use proptest::prelude::*;

use super::super::utf8::Utf8;
use super::{Key, Level, Masker, naive};

const KEY: Key = Key([0x37, 0xfa, 0x21, 0x3d]);
/// What no body may touch around a payload.
const GUARD: u8 = 0xA5;

fn maskers() -> Vec<Masker> {
    let all: Vec<_> = Level::ALL.into_iter().filter_map(Masker::with).collect();
    assert!(all.len() >= if cfg!(target_arch = "x86_64") { 2 } else { 1 });
    all
}

/// A payload at a chosen address modulo 64, between guards.
struct Framed {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Framed {
    fn new(payload: &[u8], alignment: usize) -> Self {
        let mut bytes = vec![GUARD; payload.len() + 256];
        let start = 64 + (alignment.wrapping_sub(bytes.as_ptr().addr()) % 64);
        let len = payload.len();
        bytes[start..start + len].copy_from_slice(payload);
        Self { bytes, start, len }
    }

    fn payload(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }

    fn guards_hold(&self) -> bool {
        let after = self.start + self.len;
        self.bytes[..self.start].iter().chain(&self.bytes[after..]).all(|b| *b == GUARD)
    }
}

fn check_xor(masker: Masker, key: Key, payload: &[u8], alignment: usize) {
    let expected = naive::xor(key.0, payload);
    let mut place = Framed::new(payload, alignment);
    masker.apply(key, place.payload());
    let context = (masker, payload.len(), alignment);
    assert!(place.payload() == expected, "in place {context:?}");
    assert!(place.guards_hold(), "in place, guards {context:?}");

    let mut copy = Framed::new(&vec![0; payload.len()], alignment);
    masker.copy(key, payload, copy.payload());
    assert!(copy.payload() == expected, "copy {context:?}");
    assert!(copy.guards_hold(), "copy, guards {context:?}");

    for from in [0, 2, 6, 8, 31, 200] {
        let mut moved = Framed::new(&[&vec![0; from], payload].concat(), alignment);
        masker.apply_moved(key, moved.payload(), from);
        assert!(moved.payload()[..payload.len()] == expected, "moved by {from} {context:?}");
        assert!(moved.guards_hold(), "moved by {from}, guards {context:?}");
    }
}

/// Feeds the pieces between `cuts`, masked, and compares each answer and each byte.
fn check_text(masker: Masker, text: &[u8], cuts: &[usize], alignment: usize) {
    let mut in_place = Utf8::default();
    let mut copied = Utf8::default();
    let mut plain = Utf8::default();
    let mut start = 0;
    for end in cuts.iter().copied().chain([text.len()]) {
        let piece = &text[start..end];
        let key = KEY.after(start);
        let received = naive::xor(key.0, piece);
        let expected = naive::may_go_on(&text[..end]);
        let context = || format!("{masker:?} {cuts:?} at {start}..{end} of {text:02x?}");

        let mut place = Framed::new(&received, alignment);
        let answer = masker.apply_text(key, place.payload(), &mut in_place);
        assert_eq!(answer.is_ok(), expected, "in place {}", context());
        assert!(place.guards_hold(), "in place, guards {}", context());

        let mut copy = Framed::new(&vec![0; piece.len()], alignment + 7);
        let answer = masker.copy_text(key, &received, copy.payload(), &mut copied);
        assert_eq!(answer.is_ok(), expected, "copy {}", context());
        assert!(copy.guards_hold(), "copy, guards {}", context());

        assert_eq!(plain.push(piece).is_ok(), expected, "plain {}", context());
        if !expected {
            return;
        }
        assert!(place.payload() == piece && copy.payload() == piece, "bytes {}", context());
        assert_eq!((in_place, copied), (plain, plain), "state {}", context());
        start = end;
    }
    let whole = std::str::from_utf8(text).is_ok();
    for mut state in [in_place, copied, plain] {
        assert_eq!(state.finish().is_ok(), whole, "finish {masker:?} {cuts:?} {text:02x?}");
        assert_eq!(state, Utf8::default());
    }
}

/// Valid, unfinished and wrong sequences (RFC 3629 4; Unicode 15, table 3-7, row by row).
const SEQUENCES: [&[u8]; 44] = [
    b"",
    b"a",
    b"\0",
    b"\x7f",
    "\u{80}".as_bytes(),
    "ж".as_bytes(),
    "\u{7ff}".as_bytes(),
    "\u{800}".as_bytes(),
    "語".as_bytes(),
    "\u{d7ff}".as_bytes(),
    "\u{e000}".as_bytes(),
    "\u{feff}\u{ffff}".as_bytes(),
    "\u{10000}".as_bytes(),
    "😀".as_bytes(),
    "\u{10ffff}".as_bytes(),
    "aж語😀z".as_bytes(),
    b"\x80",
    b"\xbf",
    b"\xc0",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xc2",
    b"\xc2\x41",
    b"\xc2\xc2\x80",
    b"\xdf\xbf\xbf",
    b"\xe0",
    b"\xe0\x80\x80",
    b"\xe0\x9f\xbf",
    b"\xe1\x80",
    b"\xe1\x80\x41",
    b"\xed\x9f\xbf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xef\xbf",
    b"\xf0\x80\x80\x80",
    b"\xf0\x8f\xbf\xbf",
    b"\xf0\x90\x80",
    b"\xf1\x80\x80\x80\x80",
    b"\xf3\x80\x80\x41",
    b"\xf4\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5",
    b"\xf8\x88\x80\x80\x80",
    b"\xff",
];

/// RFC 6455 5.7: "Hello" under the example's key.
#[test]
fn the_example_of_the_rfc() {
    for masker in maskers() {
        let mut data = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        masker.apply(KEY, &mut data);
        assert_eq!(&data, b"Hello");
    }
}

#[test]
fn the_key_turns() {
    let turned = [0, 1, 2, 3, 4, 7].map(|n| Key([1, 2, 3, 4]).after(n).0);
    assert_eq!(
        turned,
        [[1, 2, 3, 4], [2, 3, 4, 1], [3, 4, 1, 2], [4, 1, 2, 3], [1, 2, 3, 4], [4, 1, 2, 3]]
    );
}

#[test]
fn the_best_level_is_detected() {
    let best = Level::ALL.into_iter().rfind(|level| Masker::with(*level).is_some());
    assert_eq!(Some(Masker::detect().level()), best);
}

#[test]
#[should_panic(expected = "differ in length")]
fn a_copy_between_two_lengths_panics() {
    Masker::detect().copy(KEY, &[0; 40], &mut [0; 41]);
}

#[test]
fn every_short_length_at_every_alignment() {
    let lengths = if cfg!(miri) {
        0..=70
    } else if cfg!(debug_assertions) {
        0..=330
    } else {
        0..=700
    };
    let payload: Vec<u8> = (0..700u32).map(|i| (i * 7 + 3) as u8).collect();
    for masker in maskers() {
        for len in lengths.clone() {
            for alignment in (0..64).step_by(if cfg!(miri) { 13 } else { 1 }) {
                check_xor(masker, KEY, &payload[..len], alignment);
            }
        }
    }
}

/// Payloads that fill their allocation: a sanitizer sees any read or write beside them.
#[test]
fn whole_allocations() {
    for masker in maskers() {
        for len in 0..if cfg!(miri) { 70 } else { 600 } {
            for (character, filler) in [("a", "b"), ("ж", "a"), ("語", "a"), ("😀", "a")] {
                let mut text = character.repeat(len / character.len());
                text += &filler.repeat(len - text.len());
                let mut data = naive::xor(KEY.0, text.as_bytes()).into_boxed_slice();
                let mut to = vec![0; len].into_boxed_slice();
                let mut utf8 = Utf8::default();
                assert_eq!(masker.copy_text(KEY, &data, &mut to, &mut utf8), Ok(()));
                assert!(&*to == text.as_bytes());
                masker.copy(KEY, &data, &mut to);
                assert!(&*to == text.as_bytes());
                assert_eq!(masker.apply_text(KEY, &mut data, &mut utf8), Ok(()));
                assert!(&*data == text.as_bytes());
                masker.apply(KEY, &mut to);
                assert!(*to == naive::xor(KEY.0, text.as_bytes()));
            }
        }
    }
}

#[test]
fn two_halves_make_the_whole() {
    let payload: Vec<u8> = (0..300u32).map(|i| (i * 31) as u8).collect();
    let expected = naive::xor(KEY.0, &payload);
    for masker in maskers() {
        for cut in 0..payload.len() {
            let mut data = payload.clone();
            let (first, second) = data.split_at_mut(cut);
            masker.apply(KEY, first);
            masker.apply(KEY.after(cut), second);
            assert_eq!(data, expected, "{masker:?} cut at {cut}");
        }
    }
}

/// Each sequence alone and side by side with each other, cut at every place.
#[test]
fn short_text_at_every_cut() {
    for masker in maskers() {
        for first in SEQUENCES {
            for second in SEQUENCES {
                let text = [first, second].concat();
                for cut in 0..=text.len() {
                    check_text(masker, &text, &[cut], 0);
                }
            }
        }
    }
}

/// Each sequence at every place of a longer text, so that it meets every register's seam.
#[test]
fn each_sequence_at_every_place() {
    let lengths: &[usize] = if cfg!(miri) {
        &[70]
    } else if cfg!(debug_assertions) {
        &[33, 129, 257]
    } else {
        &[32, 33, 63, 64, 96, 128, 129, 200, 256, 257, 320, 700]
    };
    let fillers = ["a", "ж", "語", "😀"];
    for masker in maskers() {
        for len in lengths {
            for filler in fillers {
                let filled = filler.repeat(len / filler.len());
                for sequence in SEQUENCES {
                    for place in (0..=filled.len()).step_by(filler.len()) {
                        let text =
                            [&filled.as_bytes()[..place], sequence, &filled.as_bytes()[place..]];
                        check_text(masker, &text.concat(), &[], place % 64);
                    }
                }
            }
        }
    }
}

/// A long text with one sequence in it, cut in two at every place.
#[test]
fn long_text_at_every_cut() {
    let step = if cfg!(miri) {
        29
    } else if cfg!(debug_assertions) {
        3
    } else {
        1
    };
    for masker in maskers() {
        for filler in ["a", "é", "語", "😀"] {
            for sequence in SEQUENCES {
                let half = filler.repeat(150 / filler.len());
                let text = [half.as_bytes(), sequence, half.as_bytes()].concat();
                for cut in (0..=text.len()).step_by(step) {
                    check_text(masker, &text, &[cut], cut % 64);
                }
            }
        }
    }
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => "[ -~]{0,80}".prop_map(String::into_bytes),
        4 => any::<char>().prop_map(|c| c.to_string().into_bytes()),
        4 => "[а-я]{0,60}".prop_map(String::into_bytes),
        2 => "[一-龠😀-😏]{0,60}".prop_map(String::into_bytes),
        1 => (0..SEQUENCES.len()).prop_map(|i| SEQUENCES[i].to_vec()),
        1 => any::<u8>().prop_map(|b| vec![b]),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 512 }))]

    /// Any length to 5,000, any alignment, any phase of any key.
    #[test]
    fn xor_is_the_oracle(
        payload in proptest::collection::vec(any::<u8>(), 0..5000),
        alignment in 0usize..64,
        phase in 0usize..4,
        key: [u8; 4],
    ) {
        for masker in maskers() {
            check_xor(masker, Key(key).after(phase), &payload, alignment);
        }
    }

    /// Any text, mostly valid, in any pieces.
    #[test]
    fn text_is_the_oracle(
        text in any_text(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        alignment in 0usize..64,
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.sort_unstable();
        for masker in maskers() {
            check_text(masker, &text, &cuts, alignment);
        }
    }

    /// Valid text with one byte changed: every cut in two.
    #[test]
    fn one_wrong_byte(
        text in "[ -~а-я一-龠😀-😏]{20,200}",
        at: prop::sample::Index,
        wrong: u8,
    ) {
        let mut text = text.into_bytes();
        let at = at.index(text.len());
        text[at] = wrong;
        for masker in maskers() {
            for cut in (0..=text.len()).step_by(if cfg!(miri) { 97 } else { 3 }) {
                check_text(masker, &text, &[cut], at % 64);
            }
        }
    }
}
