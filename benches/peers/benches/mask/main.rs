//! plimsoll's mask against other libraries', as ratios of one run:
//! `cargo bench --manifest-path benches/peers/Cargo.toml`.
//!
//! Method: as in the project's own `mask_targets`, with which it shares the measuring. A word after
//! `--` limits the run to the rows whose text contains it.
//!
//! How it may mislead: the targets were set on a Zen 5. A CPU that stores 32 bytes a cycle (Zen 4)
//! has a roofline of only twice any 16-byte loop, so rows that ask for more than twice
//! tungstenite's speed at 1 KiB and above are out of reach there; the table prints the roofline's
//! own ratio beside them. tungstenite's mask is private and timed by difference, which makes it
//! look dearer at 20 B than it is; tokio-websockets' is private too, and lost in the noise of
//! receiving, so it is shown and not judged. See `callable`.
#![allow(missing_docs, reason = "a program")]

mod callable;
#[path = "../../../packed/mod.rs"]
mod packed;

use std::cell::RefCell;
use std::hint::black_box;

use callable::{TokioWebsockets, Tungstenite};
use packed::ratios::{Table, Work, medians, over};
use packed::{Lengths, Packed};
use plimsoll::wire::frame;
use plimsoll::wire::mask::{Masker, roofline};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn main() {
    let mut table = Table::new();
    println!("detected: {:?}", Masker::detect());
    against_tungstenite(&mut table);
    against_sockudo(&mut table);
    with_header(&mut table);
    table.close();
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
