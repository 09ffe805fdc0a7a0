//! The masking targets as ratios, taken in one run: `cargo bench --bench mask_targets`.
//!
//! Method: the candidates of a row take turns for 11 rounds and the ratio is that of their medians.
//! Time is the thread's CPU time, so that other processes on the machine disturb less. A word
//! after `--` limits the run to the rows whose text contains it. The masks of other libraries are
//! compared in `benches/peers`, so that building this builds none of them.
//!
//! How it may mislead: the targets were set on a Zen 5.
#![allow(missing_docs, reason = "a program")]
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

mod packed;

use std::cell::RefCell;
use std::hint::black_box;

use packed::ratios::{Table, median, medians, over};
use packed::{Lengths, Packed};
use plimsoll::wire::mask::{Level, Masker, roofline};
use plimsoll::wire::utf8::Utf8;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn main() {
    let mut table = Table::new();
    println!("detected: {:?}", Masker::detect());
    of_roofline(&mut table);
    over_alignments(&mut table);
    copies(&mut table);
    text(&mut table);
    table.close();
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
