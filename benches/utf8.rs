//! Unmasking and validating text: fused in each body, against this crate's best unmask followed by
//! simdutf8, and a plain loop followed by the standard library, as tungstenite does it.
//!
//! How it may mislead: a text of one script is one branch's best case. Payloads lie under a key of
//! zero, so that they stay valid from pass to pass; no body looks at the key's value.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

mod packed;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use packed::{Lengths, Packed};
use plimsoll::wire::mask::{Level, Masker};
use plimsoll::wire::utf8::Utf8;

const SCRIPTS: [(&str, &str); 4] =
    [("ascii", "x"), ("cyrillic", "ж"), ("cjk", "語"), ("emoji", "😀")];

fn lengths() -> Vec<Lengths> {
    let sizes = [20, 125, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20];
    sizes.map(Lengths::Fixed).into_iter().chain([Lengths::Random]).collect()
}

fn text(c: &mut Criterion) {
    for (script, sample) in SCRIPTS {
        let mut group = c.benchmark_group(format!("text/{script}"));
        group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(700));
        group.sample_size(20);
        for lengths in lengths() {
            if lengths == Lengths::Random && sample != "x" {
                continue;
            }
            let mut packed = Packed::text(lengths, sample);
            let mut bytes = 0;
            packed.walk(|payload, _| bytes += payload.len() as u64);
            group.throughput(Throughput::Bytes(bytes));
            let mut case = |name: &str, work: &mut dyn FnMut(&mut Packed)| {
                group.bench_function(BenchmarkId::new(name, lengths), |b| {
                    b.iter(|| work(&mut packed));
                });
            };
            for masker in Level::ALL.into_iter().filter_map(Masker::with) {
                case(&format!("{:?}", masker.level()), &mut |packed| {
                    packed.walk(|payload, key| {
                        let mut utf8 = Utf8::default();
                        let valid = masker.apply_text(key, payload, &mut utf8).is_ok();
                        assert!(valid && utf8.finish().is_ok());
                    });
                });
            }
            let best = Masker::detect();
            case("mask then simdutf8", &mut |packed| {
                packed.walk(|payload, key| {
                    best.apply(key, payload);
                    assert!(simdutf8::basic::from_utf8(payload).is_ok());
                });
            });
            case("loop then std", &mut |packed| {
                packed.walk(|payload, key| {
                    for (i, byte) in payload.iter_mut().enumerate() {
                        *byte ^= key.0[i % 4];
                    }
                    assert!(std::str::from_utf8(payload).is_ok());
                });
            });
        }
    }
}

criterion_group!(benches, text);
criterion_main!(benches);
