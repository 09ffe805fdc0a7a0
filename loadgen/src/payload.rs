//! What a message carries: a stamp that pairs its reply, then filler that proves it intact.
//!
//! A payload is a function of the run's seed, the connection and the message's number, so nothing
//! is kept to compare a reply with. Nothing here allocates per message.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::cli::plan::{PayloadKind, Template};
use crate::cli::sizes::Sizes;
use crate::draw::Draw;
use crate::schedule::Nanos;
use crate::template::Filling;

/// First byte of every stamp.
const MESSAGE: u8 = b'P';
/// First byte of a heartbeat.
const BEAT: u8 = b'H';
/// First byte of a ping between the fragments of a message.
const AMID: u8 = b'I';
/// Bytes of filler that are made once; longer payloads repeat them.
const FILLER: usize = 1 << 16;
/// Bytes of a stamp: mark, connection, number; in binary, and as text of 6 bits a character.
const BINARY_STAMP: usize = 1 + 8;
const TEXT_STAMP: usize = 1 + 11;
/// Bytes of the publish time behind it. 56 bits of nanoseconds are two years, 60 are 36.
const BINARY_TIME: usize = 7;
const TEXT_TIME: usize = 10;
/// Bytes of the longest stamp with a time.
const LONGEST: usize = TEXT_STAMP + TEXT_TIME;
/// Bytes of a text heartbeat: a stamp and nothing else.
pub(crate) const BEAT_BYTES: usize = TEXT_STAMP;
/// Bytes of a ping's data.
pub(crate) const PING_BYTES: usize = BINARY_STAMP;

/// Digits of six bits: printable, and in the order of their values.
const DIGITS: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

/// Values of the digits; 0xff is none.
const VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut i = 0;
    while i < DIGITS.len() {
        values[DIGITS[i] as usize] = i as u8;
        i += 1;
    }
    values
};

/// Which message a payload is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    /// The connection that sent it, by its number in the run.
    pub(crate) connection: u32,
    /// Its number on that connection, from 0.
    pub(crate) sequence: u32,
    /// When it was meant to be published (broadcast); 0 otherwise.
    pub(crate) time: Nanos,
}

/// Makes payloads and recognises them.
#[derive(Clone, Debug)]
pub(crate) struct Payloads {
    kind: PayloadKind,
    /// By phase.
    sizes: Box<[Draw]>,
    /// The only size there is, or more than any.
    only: usize,
    seed: u64,
    stamp: usize,
    stamped: bool,
    /// Whether what is written depends on when it is due.
    timed: bool,
    words: Option<Words>,
    filler: Box<[u8]>,
}

/// Messages of the user's own.
#[derive(Clone, Debug)]
struct Words {
    template: Template,
    /// The run's epoch, in milliseconds since 1970.
    epoch_ms: u64,
}

impl Payloads {
    /// `sizes` by phase; `timed` puts the publish time into each stamp.
    pub(crate) fn new(kind: PayloadKind, sizes: &[&Sizes], seed: u64, timed: bool) -> Self {
        let mut filler = vec![0; FILLER].into_boxed_slice();
        StdRng::seed_from_u64(seed).fill_bytes(&mut filler);
        if kind == PayloadKind::Text {
            // Printable ASCII: valid UTF-8 wherever a fragment ends.
            filler.iter_mut().for_each(|byte| *byte = DIGITS[usize::from(*byte & 63)]);
        }
        let stamp = stamp_bytes(kind, timed);
        let stamped = sizes.iter().all(|sizes| sizes.min >= stamp);
        let sizes: Box<[Draw]> = sizes.iter().map(|sizes| Draw::new(sizes)).collect();
        let only = match sizes[..] {
            [Draw::One(only)] => only,
            _ => usize::MAX,
        };
        Self { kind, sizes, only, seed, stamp, stamped, timed, words: None, filler }
    }

    /// The same with messages of the user's own, which have a stamp where they say so: in text,
    /// whatever they are. `epoch_ms` is the run's epoch in milliseconds since 1970.
    pub(crate) fn saying(self, template: &Template, epoch_ms: u64) -> Self {
        Self {
            kind: PayloadKind::Text,
            stamp: stamp_bytes(PayloadKind::Text, self.timed),
            stamped: template.is_stamped(),
            timed: true,
            words: Some(Words { template: template.clone(), epoch_ms }),
            ..self
        }
    }

    /// The time of a stamp whose message is due at `intended`; 0 where none is told.
    #[inline]
    pub(crate) fn time(&self, intended: Nanos) -> Nanos {
        if self.timed { intended } else { 0 }
    }

    /// Whether every message carries a stamp, being long enough. If not, payloads are opaque, and a
    /// reply is paired with the oldest message of its connection.
    pub(crate) fn stamped(&self) -> bool {
        self.stamped
    }

    /// Payload bytes of a message that is due in `phase`.
    #[inline]
    pub(crate) fn len(&self, phase: usize, connection: u32, sequence: u32) -> usize {
        if self.only != usize::MAX {
            return self.only;
        }
        self.sizes[phase].at(|| mix(self.seed ^ 1, connection, sequence))
    }

    /// Writes the payload of a message into `out`, replacing what is there.
    #[inline]
    pub(crate) fn write(&self, phase: usize, stamp: Stamp, out: &mut Vec<u8>) {
        out.clear();
        if self.words.is_some() {
            return self.write_words(stamp, out);
        }
        let len = self.len(phase, stamp.connection, stamp.sequence);
        if self.stamped {
            let mut head = [0; LONGEST];
            out.extend_from_slice(self.encode(stamp, &mut head));
        }
        let mut at = self.offset(stamp);
        while out.len() < len {
            let take = (len - out.len()).min(FILLER - at);
            out.extend_from_slice(&self.filler[at..at + take]);
            at = 0;
        }
    }

    #[inline(never)]
    fn write_words(&self, stamp: Stamp, out: &mut Vec<u8>) {
        if let Some(words) = &self.words {
            self.say(words, stamp, |part| {
                out.extend_from_slice(part);
                true
            });
        }
    }

    /// The parts of a message of the user's own, until one is not wanted: false then.
    fn say(&self, words: &Words, stamp: Stamp, part: impl FnMut(&[u8]) -> bool) -> bool {
        let Stamp { connection, sequence, time } = stamp;
        let mut head = [0; LONGEST];
        let filling = Filling {
            connection,
            sequence,
            time_ms: words.epoch_ms + time / 1_000_000,
            stamp: self.encode(stamp, &mut head),
            random: mix(self.seed ^ 2, connection, sequence),
        };
        words.template.fill(filling, part)
    }

    /// The stamp of a payload, if it carries one of ours that is `wanted`.
    #[inline]
    pub(crate) fn read(&self, payload: &[u8], wanted: impl Fn(&Stamp) -> bool) -> Option<Stamp> {
        if self.words.is_some() {
            self.find(payload, wanted)
        } else {
            self.read_first(payload).filter(wanted)
        }
    }

    /// The number of the message of `connection` that a payload is the answer to.
    pub(crate) fn sequence(&self, payload: &[u8], connection: u32) -> Option<u32> {
        self.read(payload, |stamp| stamp.connection == connection).map(|stamp| stamp.sequence)
    }

    /// The stamp may stand anywhere in words, and in what a server makes of them.
    #[cold]
    fn find(&self, payload: &[u8], wanted: impl Fn(&Stamp) -> bool) -> Option<Stamp> {
        let mut rest = payload;
        while let Some(at) = rest.iter().position(|byte| *byte == MESSAGE) {
            if let Some(stamp) = self.read_first(&rest[at..]).filter(&wanted) {
                return Some(stamp);
            }
            rest = &rest[at + 1..];
        }
        None
    }

    #[inline]
    fn read_first(&self, payload: &[u8]) -> Option<Stamp> {
        let (&mark, rest) = payload.get(..self.stamp)?.split_first()?;
        if mark != MESSAGE {
            return None;
        }
        let (id, time) = match self.kind {
            PayloadKind::Binary => (number(&rest[..8]), number(&rest[8..])),
            PayloadKind::Text => (from_digits(&rest[..11])?, from_digits(&rest[11..])?),
        };
        Some(Stamp { connection: (id >> 32) as u32, sequence: id as u32, time })
    }

    /// Whether a payload is, byte for byte, what [`Payloads::write`] makes of this stamp.
    pub(crate) fn intact(&self, phase: usize, stamp: Stamp, payload: &[u8]) -> bool {
        if let Some(words) = &self.words {
            let mut rest = payload;
            let said = self.say(words, stamp, |part| match rest.strip_prefix(part) {
                Some(after) => {
                    rest = after;
                    true
                }
                None => false,
            });
            return said && rest.is_empty();
        }
        if payload.len() != self.len(phase, stamp.connection, stamp.sequence) {
            return false;
        }
        let mut rest = payload;
        if self.stamped {
            let mut head = [0; LONGEST];
            let Some(after) = rest.strip_prefix(self.encode(stamp, &mut head)) else {
                return false;
            };
            rest = after;
        }
        let mut at = self.offset(stamp);
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.len().min(FILLER - at));
            if part != &self.filler[at..at + part.len()] {
                return false;
            }
            (rest, at) = (after, 0);
        }
        true
    }

    fn offset(&self, stamp: Stamp) -> usize {
        mix(self.seed, stamp.connection, stamp.sequence) as usize % FILLER
    }

    fn encode<'a>(&self, stamp: Stamp, head: &'a mut [u8; LONGEST]) -> &'a [u8] {
        let id = u64::from(stamp.connection) << 32 | u64::from(stamp.sequence);
        head[0] = MESSAGE;
        match self.kind {
            PayloadKind::Binary => {
                head[1..9].copy_from_slice(&id.to_be_bytes());
                head[9..16].copy_from_slice(&stamp.time.to_be_bytes()[1..]);
            }
            PayloadKind::Text => {
                to_digits(id, &mut head[1..12]);
                to_digits(stamp.time, &mut head[12..]);
            }
        }
        &head[..self.stamp]
    }
}

/// Bytes that a message needs to carry a stamp.
pub(crate) fn stamp_bytes(kind: PayloadKind, timed: bool) -> usize {
    match (kind, timed) {
        (PayloadKind::Binary, false) => BINARY_STAMP,
        (PayloadKind::Binary, true) => BINARY_STAMP + BINARY_TIME,
        (PayloadKind::Text, false) => TEXT_STAMP,
        (PayloadKind::Text, true) => TEXT_STAMP + TEXT_TIME,
    }
}

/// The text heartbeat with this number.
pub(crate) fn write_beat(connection: u32, sequence: u32) -> [u8; BEAT_BYTES] {
    let mut beat = [BEAT; BEAT_BYTES];
    to_digits(u64::from(connection) << 32 | u64::from(sequence), &mut beat[1..]);
    beat
}

/// The connection and number of a text heartbeat; `None` when it is something else.
pub(crate) fn read_beat(payload: &[u8]) -> Option<(u32, u32)> {
    if payload.len() != BEAT_BYTES || payload[0] != BEAT {
        return None;
    }
    from_digits(&payload[1..]).map(|id| ((id >> 32) as u32, id as u32))
}

/// The data of the ping with this number; `amid` if it stands between fragments of a message.
pub(crate) fn write_ping(connection: u32, sequence: u32, amid: bool) -> [u8; PING_BYTES] {
    let mut data = [if amid { AMID } else { BEAT }; PING_BYTES];
    data[1..5].copy_from_slice(&connection.to_be_bytes());
    data[5..].copy_from_slice(&sequence.to_be_bytes());
    data
}

/// The connection and number of a ping and whether it stood between fragments; `None` when it is
/// none of ours.
pub(crate) fn read_ping(data: &[u8]) -> Option<(u32, u32, bool)> {
    if data.len() != PING_BYTES || ![BEAT, AMID].contains(&data[0]) {
        return None;
    }
    let id = number(&data[1..]);
    Some(((id >> 32) as u32, id as u32, data[0] == AMID))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, &byte| n << 8 | u64::from(byte))
}

fn to_digits(mut n: u64, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = DIGITS[(n & 63) as usize];
        n >>= 6;
    }
}

fn from_digits(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |n, &digit| {
        let value = VALUES[usize::from(digit)];
        (value < 64).then(|| n << 6 | u64::from(value))
    })
}

/// 64 well-mixed bits of a message's identity: the finaliser of `SplitMix64` (Steele and others,
/// 2014).
#[inline]
fn mix(seed: u64, connection: u32, sequence: u32) -> u64 {
    let mut z = seed ^ (u64::from(connection) << 32 | u64::from(sequence));
    z = z.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn payloads(kind: PayloadKind, min: usize, max: usize, timed: bool) -> Payloads {
        Payloads::new(kind, &[&Sizes::even(min, max)], 7, timed)
    }

    #[test]
    fn short_messages_are_opaque_and_still_checked() {
        let tiny = payloads(PayloadKind::Binary, 4, 4, false);
        assert!(!tiny.stamped());
        let stamp = Stamp { connection: 3, sequence: 9, time: 0 };
        let mut bytes = Vec::new();
        tiny.write(0, stamp, &mut bytes);
        assert_eq!(bytes.len(), 4);
        assert!(tiny.intact(0, stamp, &bytes));
        bytes[3] ^= 1;
        assert!(!tiny.intact(0, stamp, &bytes));
        let empty = payloads(PayloadKind::Text, 0, 0, false);
        empty.write(0, stamp, &mut bytes);
        assert!(bytes.is_empty() && empty.intact(0, stamp, &bytes));
    }

    #[test]
    fn text_is_printable() {
        let text = payloads(PayloadKind::Text, 200_000, 200_000, true);
        let mut bytes = Vec::new();
        text.write(
            0,
            Stamp { connection: u32::MAX, sequence: u32::MAX, time: 1 << 59 },
            &mut bytes,
        );
        assert!(bytes.iter().all(u8::is_ascii_graphic));
    }

    #[test]
    fn sizes_reach_both_ends_of_their_range() {
        let some = payloads(PayloadKind::Binary, 64, 67, false);
        let mut seen = [0; 4];
        for sequence in 0..4_000 {
            seen[some.len(0, 5, sequence) - 64] += 1;
        }
        assert!(seen.iter().all(|&n| (850..1150).contains(&n)), "{seen:?}");
    }

    #[test]
    fn messages_differ() {
        let some = payloads(PayloadKind::Binary, 125, 125, false);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        some.write(0, Stamp { connection: 1, sequence: 0, time: 0 }, &mut a);
        for (connection, sequence) in [(1, 1), (0, 0), (0, 1)] {
            some.write(0, Stamp { connection, sequence, time: 0 }, &mut b);
            assert_ne!(a[9..], b[9..], "the filler tells messages apart");
        }
    }

    #[test]
    fn a_stamp_is_found_wherever_a_server_puts_it() {
        use clap::Parser as _;
        let words =
            ["loadgen", "--message", "{\"PING-PLEASE-HELP-ME\":{sequence},\"id\":\"{stamp}\"}"];
        let plan = crate::cli::Args::try_parse_from(words).unwrap().plan().unwrap();
        let sizes = [&plan.size];
        let some = Payloads::new(plan.payload, &sizes, 7, false);
        let some = some.saying(&plan.template.unwrap(), 1_000_000_000_000);
        let mut bytes = Vec::new();
        for sequence in [0, 9, 10, 4_000_000_000] {
            let stamp = Stamp { connection: 5, sequence, time: 0 };
            some.write(0, stamp, &mut bytes);
            assert!((plan.size.min..=plan.size.max).contains(&bytes.len()), "{}", bytes.len());
            assert!(some.intact(0, stamp, &bytes));
            let answer = [b"{\"ok\":", &bytes[..], b"}"].concat();
            let mine = |found: &Stamp| found.connection == 5;
            assert_eq!(some.read(&answer, mine), Some(stamp));
            assert!(!some.intact(0, stamp, &answer) && !some.intact(0, stamp, &bytes[1..]));
            assert_eq!(some.read(&answer, |found| found.connection == 6), None);
        }
    }

    #[test]
    fn heartbeats_are_no_messages() {
        let beat = write_beat(70_000, 12);
        assert_eq!(read_beat(&beat), Some((70_000, 12)));
        assert_eq!(payloads(PayloadKind::Text, 12, 12, false).read(&beat, |_| true), None);
        let mut message = Vec::new();
        let stamp = Stamp { connection: 1, sequence: 2, time: 0 };
        payloads(PayloadKind::Text, 12, 12, false).write(0, stamp, &mut message);
        assert_eq!(read_beat(&message), None);
        assert_eq!(read_beat(&beat[..11]), None);
        assert_eq!(read_beat(b"H~~~~~~~~~~~"), None);
        for amid in [false, true] {
            let ping = write_ping(70_000, 12, amid);
            assert_eq!(read_ping(&ping), Some((70_000, 12, amid)));
        }
        assert_eq!(read_ping(&beat), None);
        assert_eq!(read_ping(b""), None);
    }

    proptest! {
        /// What is written is read back and intact; with any one bit flipped it is not.
        #[test]
        fn write_read_intact(
            text: bool,
            timed: bool,
            size in prop_oneof![22usize..300, 65_000usize..140_000],
            connection: u32,
            sequence: u32,
            time in 0u64..1 << 56,
            at: proptest::sample::Index,
            bit in 0u8..7,
        ) {
            let kind = if text { PayloadKind::Text } else { PayloadKind::Binary };
            let some = payloads(kind, size, size + 5, timed);
            prop_assert!(some.stamped());
            let stamp = Stamp { connection, sequence, time: if timed { time } else { 0 } };
            let mut bytes = vec![1; 3];
            some.write(0, stamp, &mut bytes);
            prop_assert_eq!(bytes.len(), some.len(0, connection, sequence));
            prop_assert_eq!(some.read(&bytes, |_| true), Some(stamp));
            prop_assert!(some.intact(0, stamp, &bytes));
            prop_assert!(!some.intact(0, stamp, &bytes[1..]));
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(!some.intact(0, stamp, &bytes));
        }

        /// A peer may send anything.
        #[test]
        fn any_payload(
            text: bool,
            timed: bool,
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let kind = if text { PayloadKind::Text } else { PayloadKind::Binary };
            let some = payloads(kind, 16, 16, timed);
            if let Some(stamp) = some.read(&bytes, |_| true) {
                prop_assert_eq!(bytes[0], MESSAGE);
                let _ = some.intact(0, stamp, &bytes);
            }
            let _ = read_beat(&bytes);
        }
    }
}
