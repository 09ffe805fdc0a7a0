//! What flags say of the frames of a message.

use std::time::Duration;

use super::Args;
use super::check::duration;
use super::plan::{Fragmentation, Pace};
use super::sizes::Sizes;
use super::usage::{UsageError, refuse};
use crate::human::decimal;

/// Frames of messages of this size, sent at this pace by so many connections.
pub(super) fn fragmentation(
    args: &Args,
    size: &Sizes,
    pace: Pace,
    senders: u32,
) -> Result<Fragmentation, UsageError> {
    let fragments = args.fragments.unwrap_or(1);
    if fragments < 2 {
        let flags = [
            ("--fragment-gap", args.fragment_gap.is_some()),
            ("--interleave-ping", args.interleave_ping),
        ];
        if let Some((flag, _)) = flags.iter().find(|(_, given)| *given) {
            return refuse(
                *flag,
                "a message in one frame has nothing between its frames",
                "add --fragments 2 or more",
            );
        }
    }
    let gap = args.fragment_gap.unwrap_or(Duration::ZERO);
    let fragmentation = Fragmentation { fragments, gap, interleave_ping: args.interleave_ping };
    check(fragmentation, size, duration(args), pace, senders)?;
    Ok(fragmentation)
}

/// Whether messages of this size, sent at this pace by so many connections in a window that lasts
/// so long, can have such frames.
pub(super) fn check(
    of: Fragmentation,
    size: &Sizes,
    window: Duration,
    pace: Pace,
    senders: u32,
) -> Result<(), UsageError> {
    let Fragmentation { fragments, gap, .. } = of;
    if fragments as usize > size.min.max(1) {
        return refuse(
            format!("--fragments {fragments} with --size {size}"),
            "each frame of a message carries one byte at least",
            "ask for fewer fragments or longer messages",
        );
    }
    if of.lasts() > window {
        return refuse(
            format!("--fragment-gap {}", humantime::format_duration(gap)),
            format!(
                "one message of {fragments} fragments would outlast the {} measured",
                humantime::format_duration(window)
            ),
            "use a shorter gap or a longer --duration",
        );
    }
    let lasts = of.lasts().as_secs_f64();
    match pace {
        // Messages would queue up for ever: fragments of two must not mingle (RFC 6455 5.4).
        Pace::Open { rate, .. } if rate / f64::from(senders.max(1)) * lasts >= 1.0 => refuse(
            format!("--fragments {fragments} --fragment-gap {}", humantime::format_duration(gap)),
            format!(
                "one message lasts {lasts} s, and each connection sends {} a second",
                decimal(rate / f64::from(senders.max(1)))
            ),
            "use a shorter gap, fewer fragments, a lower rate or more connections",
        ),
        _ => Ok(()),
    }
}
