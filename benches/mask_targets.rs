//! The masking targets as ratios, taken in one run: `cargo bench --bench mask_targets`.
//!
//! Method: the candidates of a row take turns for 11 rounds and the ratio is that of their medians.
//! Time is the thread's CPU time, so that other processes on the machine disturb less. A word
//! after `--` limits the run to the rows whose text contains it.
//!
//! How it may mislead: the targets were set on a Zen 5. A CPU that stores 32 bytes a cycle (Zen 4)
//! has a roofline of only twice any 16-byte loop, so rows that ask for more than twice
//! tungstenite's speed at 1 KiB and above are out of reach there; the table prints the roofline's
//! own ratio beside them. tungstenite's mask is private and timed by difference, which makes it
//! look dearer at 20 B than it is; tokio-websockets' is private too, and lost in the noise of
//! receiving, so it is shown and not judged. See `packed::peers`.
#![allow(missing_docs, reason = "a program")]
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

mod packed;

use std::cell::RefCell;
use std::hint::black_box;

use packed::peers::{TokioWebsockets, Tungstenite};
use packed::{Lengths, Packed};
use plimsoll::wire::frame;
use plimsoll::wire::mask::{Key, Level, Masker, roofline};
use plimsoll::wire::utf8::Utf8;
use rustix::time::{ClockId, clock_gettime};
use tungstenite::protocol::frame::FrameHeader;

const ROUNDS: usize = 11;
/// Nanoseconds of CPU that one candidate gets in one round.
const SLICE: f64 = 2e6;
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn cpu_ns() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

/// One candidate: does some frames and says how many.
type Work<'a> = Box<dyn FnMut() -> usize + 'a>;

/// Nanoseconds a frame of each candidate: medians over interleaved rounds.
fn medians(mut works: Vec<Work<'_>>) -> Vec<f64> {
    let batches: Vec<_> = works.iter_mut().map(batch).collect();
    let mut samples = vec![Vec::new(); works.len()];
    for _ in 0..ROUNDS {
        for ((work, samples), batch) in works.iter_mut().zip(&mut samples).zip(&batches) {
            let start = cpu_ns();
            let mut frames = 0;
            let mut spent = 0.0;
            while spent < SLICE {
                frames += (0..*batch).map(|_| work()).sum::<usize>();
                spent = cpu_ns() - start;
            }
            samples.push(spent / frames as f64);
        }
    }
    samples.iter_mut().map(|samples| median(samples)).collect()
}

/// Warms up, and tells how often to work between two looks at the clock: a look is a system call
/// of some 200 ns, which would weigh on small frames.
fn batch(work: &mut Work<'_>) -> usize {
    let mut times = 0;
    let start = cpu_ns();
    while cpu_ns() - start < SLICE {
        work();
        times += 1;
    }
    (times / 8).max(1)
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// Work over packed payloads.
fn over<'a>(packed: &'a RefCell<Packed>, mut work: impl FnMut(&mut [u8], Key) + 'a) -> Work<'a> {
    Box::new(move || packed.borrow_mut().walk(&mut work))
}

/// The rows printed so far.
struct Table {
    only: Option<String>,
    reached: usize,
    rows: usize,
}

impl Table {
    fn wants(&self, what: &str) -> bool {
        self.only.as_ref().is_none_or(|only| what.contains(only.as_str()))
    }

    /// One row; `ratio` is to be `target` at least.
    fn row(&mut self, what: &str, ratio: f64, target: f64, note: &str) {
        let reached = ratio >= target;
        self.print(what, ratio, &format!(">= {target:.2}"), reached, note);
    }

    fn print(&mut self, what: &str, ratio: f64, target: &str, reached: bool, note: &str) {
        self.rows += 1;
        self.reached += usize::from(reached);
        let verdict = if reached { "reached" } else { "NOT reached" };
        println!("{what:<58} {ratio:>6.2}  {target:<8} {verdict:<12} {note}");
    }
}

fn main() {
    let only = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let mut table = Table { only, reached: 0, rows: 0 };
    println!("detected: {:?}", Masker::detect());
    of_roofline(&mut table);
    over_alignments(&mut table);
    against_tungstenite(&mut table);
    against_sockudo(&mut table);
    with_header(&mut table);
    copies(&mut table);
    text(&mut table);
    println!("{} of {} targets reached", table.reached, table.rows);
}

fn levels() -> impl Iterator<Item = Masker> {
    [Level::Avx512, Level::Avx2, Level::Sse2].into_iter().filter_map(Masker::with)
}

fn of_roofline(table: &mut Table) {
    for len in [4 * KIB, 16 * KIB, 64 * KIB, MIB, 16 * MIB] {
        let lengths = Lengths::Fixed(len);
        let packed = RefCell::new(Packed::new(lengths));
        for masker in levels() {
            let target = match (masker.level(), len < 64 * KIB) {
                (Level::Avx512, false) => 0.97,
                (Level::Avx512, true) | (Level::Avx2, false) => 0.90,
                (Level::Avx2, true) => 0.75,
                (_, true) => 0.37,
                _ => continue,
            };
            let what = format!("{:?} of the in-place roofline, {lengths}", masker.level());
            if table.wants(&what) {
                let ns = medians(vec![
                    over(&packed, |payload, _| roofline::invert(payload)),
                    over(&packed, move |payload, key| masker.apply(key, payload)),
                ]);
                let gbs = len as f64 / ns[1];
                table.row(&what, ns[0] / ns[1], target, &format!("{gbs:.0} GB/s"));
            }
        }
    }
}

fn over_alignments(table: &mut Table) {
    for len in [64, 125, 256, KIB, 4 * KIB, 16 * KIB] {
        for masker in levels() {
            let lengths = Lengths::Fixed(len);
            let what =
                format!("{:?} over 64 alignments, median to best, {lengths}", masker.level());
            if !table.wants(&what) {
                continue;
            }
            let packed: Vec<_> =
                (0..64).map(|alignment| RefCell::new(Packed::aligned(len, alignment))).collect();
            let work = move |payload: &mut [u8], key| masker.apply(key, payload);
            let mut ns = medians(packed.iter().map(|packed| over(packed, work)).collect());
            let median = median(&mut ns);
            let ratio = median / ns[0];
            let note = format!("best {:.2} ns, worst {:.2} ns", ns[0], ns[63]);
            table.print(&what, ratio, "<= 1.20", ratio <= 1.20, &note);
        }
    }
}

/// tungstenite's mask: masked less unmasked formatting of frames of these lengths.
fn tungstenite_works(packed: &RefCell<Packed>) -> [Work<'_>; 2] {
    [true, false].map(|masked| -> Work<'_> {
        let mut peer = Tungstenite::new();
        Box::new(move || {
            let mut packed = packed.borrow_mut();
            let plan = packed.turn();
            for frame in plan {
                peer.format(frame.len, masked.then_some(frame.key));
            }
            plan.len()
        })
    })
}

fn against_tungstenite(table: &mut Table) {
    let rows = [
        (Lengths::Fixed(20), 2.4),
        (Lengths::Fixed(125), 1.9),
        (Lengths::Random, 6.0),
        (Lengths::Fixed(KIB), 2.2),
        (Lengths::Fixed(4 * KIB), 2.7),
        (Lengths::Fixed(16 * KIB), 2.7),
    ];
    for (lengths, target) in rows {
        let what = format!("against tungstenite's mask, {lengths}");
        if !table.wants(&what) {
            continue;
        }
        let packed = RefCell::new(Packed::new(lengths));
        let masker = Masker::detect();
        let [with_mask, without] = tungstenite_works(&packed);
        let ns = medians(vec![
            over(&packed, move |payload, key| masker.apply(key, payload)),
            with_mask,
            without,
            over(&packed, |payload, _| roofline::invert(payload)),
        ]);
        let peer = ns[1] - ns[2];
        let bound = match lengths {
            Lengths::Fixed(KIB..) => format!("; the roofline's own ratio is {:.2}", peer / ns[3]),
            _ => String::new(),
        };
        let note = format!("{:.2} against {peer:.2} ns{bound}", ns[0]);
        table.row(&what, peer / ns[0], target, &note);
    }
}

fn against_sockudo(table: &mut Table) {
    let rows = [(20, 3.5), (125, 3.5), (KIB, 1.3), (16 * KIB, 0.95), (64 * KIB, 0.95), (MIB, 0.95)];
    for (len, target) in rows {
        let lengths = Lengths::Fixed(len);
        let what = format!("against sockudo-ws's mask, {lengths}");
        if !table.wants(&what) {
            continue;
        }
        let packed = RefCell::new(Packed::new(lengths));
        let masker = Masker::detect();
        let mut works = vec![
            over(&packed, move |payload, key| masker.apply(key, payload)),
            over(&packed, |payload, key| sockudo_ws::simd::apply_mask(payload, key.0)),
            over(&packed, |payload, key| fastwebsockets::unmask(payload, key.0)),
        ];
        for masked in [true, false] {
            let mut peer = TokioWebsockets::new(len, masked);
            works.push(Box::new(move || {
                peer.receive();
                1
            }));
        }
        let ns = medians(works);
        let note = format!(
            "{:.1} against {:.1} ns; fastwebsockets {:.1}; tokio-websockets receives in {:.0} ns, \
             {:.0} without a mask",
            ns[0], ns[1], ns[2], ns[3], ns[4]
        );
        table.row(&what, ns[1] / ns[0], target, &note);
    }
}

/// Decodes and unmasks every frame of a buffer, as the connection does.
fn decode_and_unmask(masker: Masker, wire: &mut [u8]) -> usize {
    let mut rest = wire;
    let mut frames = 0;
    while let Ok(Some(header)) = frame::decode(rest, true) {
        let size = usize::from(header.size);
        let (bytes, after) = rest.split_at_mut(size + header.len as usize);
        masker.apply(header.key, &mut bytes[size..]);
        rest = after;
        frames += 1;
    }
    assert!(rest.is_empty());
    frames
}

/// tungstenite's header parser alone, over the same buffer.
fn tungstenite_headers(wire: &[u8]) -> usize {
    let mut rest = wire;
    let mut frames = 0;
    while !rest.is_empty() {
        let mut cursor = std::io::Cursor::new(rest);
        let Ok(Some((header, len))) = FrameHeader::parse(&mut cursor) else { return frames };
        black_box(header);
        rest = &rest[cursor.position() as usize + len as usize..];
        frames += 1;
    }
    frames
}

fn with_header(table: &mut Table) {
    let rows = [(Lengths::Fixed(20), 5.0), (Lengths::Fixed(125), 4.0), (Lengths::Random, 8.0)];
    for (lengths, target) in rows {
        let what = format!("header and unmask against tungstenite's, {lengths}");
        if !table.wants(&what) {
            continue;
        }
        let packed = RefCell::new(Packed::new(lengths));
        let buffers = RefCell::new(Packed::buffers(lengths));
        let masker = Masker::detect();
        let [with_mask, without] = tungstenite_works(&packed);
        let ns = medians(vec![
            Box::new(|| {
                let mut buffers = buffers.borrow_mut();
                buffers.iter_mut().map(|b| decode_and_unmask(masker, b.wire())).sum()
            }),
            Box::new(|| {
                let mut buffers = buffers.borrow_mut();
                buffers.iter_mut().map(|b| tungstenite_headers(b.wire())).sum()
            }),
            with_mask,
            without,
        ]);
        let peer = ns[1] + ns[2] - ns[3];
        let note = format!("{:.2} against {:.2} + {:.2} ns", ns[0], ns[1], ns[2] - ns[3]);
        table.row(&what, peer / ns[0], target, &note);
    }
}

fn copies(table: &mut Table) {
    for len in [4 * KIB, 16 * KIB] {
        let what = format!("fused copy against memcpy then mask, {}", Lengths::Fixed(len));
        if !table.wants(&what) {
            continue;
        }
        let packed = RefCell::new(Packed::new(Lengths::Fixed(len)));
        let (mut first, mut second) = (vec![0; len], vec![0; len]);
        let mut third = vec![0; len];
        let masker = Masker::detect();
        let ns = medians(vec![
            over(&packed, |payload, key| masker.copy(key, payload, black_box(&mut first))),
            over(&packed, |payload, key| {
                black_box(&mut second).copy_from_slice(payload);
                masker.apply(key, black_box(&mut second));
            }),
            over(&packed, |payload, _| black_box(&mut third).copy_from_slice(payload)),
        ]);
        let note = format!("{:.1} against {:.1} ns; memcpy alone {:.1}", ns[0], ns[1], ns[2]);
        table.row(&what, ns[1] / ns[0], 2.5, &note);
    }
}

fn text(table: &mut Table) {
    let ascii = [(KIB, 1.45), (4 * KIB, 1.45), (16 * KIB, 1.9), (64 * KIB, 1.9), (MIB, 1.9)];
    for (len, target) in ascii {
        text_row(table, Lengths::Fixed(len), ("ASCII", "x"), target);
    }
    text_row(table, Lengths::Random, ("ASCII", "x"), 5.0);
    for script in [("Cyrillic", "ж"), ("CJK", "語"), ("emoji", "😀")] {
        for len in [KIB, 16 * KIB, MIB] {
            text_row(table, Lengths::Fixed(len), script, 2.1);
        }
    }
}

fn text_row(table: &mut Table, lengths: Lengths, (script, sample): (&str, &str), target: f64) {
    let what = format!("fused text against best unmask + simdutf8, {script} {lengths}");
    if !table.wants(&what) {
        return;
    }
    let packed = RefCell::new(Packed::text(lengths, sample));
    let best = Masker::detect();
    let mut works = vec![over(&packed, move |payload, key| {
        best.apply(key, payload);
        assert!(simdutf8::basic::from_utf8(payload).is_ok());
    })];
    for masker in levels() {
        works.push(over(&packed, move |payload, key| {
            let mut utf8 = Utf8::default();
            let valid = masker.apply_text(key, payload, &mut utf8).is_ok();
            assert!(valid && utf8.finish().is_ok());
        }));
    }
    let ns = medians(works);
    let ratios: Vec<_> = levels()
        .zip(&ns[1..])
        .map(|(masker, ns_fused)| format!("{:?} {:.2}", masker.level(), ns[0] / ns_fused))
        .collect();
    let note = format!("{:.1} against {:.1} ns; {}", ns[1], ns[0], ratios.join(", "));
    table.row(&what, ns[0] / ns[1], target, &note);
}
