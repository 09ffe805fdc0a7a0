//! What flags say of heartbeats.

use super::message::is_text;
use super::plan::{Heartbeat, HeartbeatKind, HeartbeatPhase, HeartbeatWords, Template};
use super::sizes::Sizes;
use super::usage::{UsageError, refuse};
use super::{Args, ModeName};
use crate::payload::BEAT_BYTES;

/// When and how connections beat; `size` and `template` are those of the messages beside them.
pub(super) fn heartbeat(
    args: &Args,
    size: &Sizes,
    template: Option<&Template>,
) -> Result<Option<Heartbeat>, UsageError> {
    let kind = kind(args);
    let Some(interval) = args.heartbeat.0 else {
        let flags = [
            ("--heartbeat-kind", args.heartbeat_kind.is_some()),
            ("--heartbeat-phase", args.heartbeat_phase.is_some()),
            ("--heartbeat-text", args.heartbeat_text.is_some()),
        ];
        return match flags.iter().find(|(_, given)| *given) {
            None => Ok(None),
            Some((flag, _)) => refuse(
                format!("{flag} with --heartbeat off"),
                "there is no heartbeat to be so",
                "drop one of them",
            ),
        };
    };
    if kind == HeartbeatKind::Text && args.mode == ModeName::Broadcast {
        return refuse(
            "text heartbeats with --mode broadcast",
            "the server would deliver each heartbeat to the whole room",
            "use --heartbeat-kind ping",
        );
    }
    let echoed = args.mode == ModeName::Echo && is_text(args);
    if kind == HeartbeatKind::Text && echoed && template.is_some_and(|words| !words.is_stamped()) {
        return refuse(
            "text heartbeats beside --message or --data",
            "a text message without {stamp} cannot be told from a heartbeat",
            "write {stamp} into the message, or use --binary or --heartbeat-kind ping",
        );
    }
    if kind == HeartbeatKind::Text && echoed && size.min < BEAT_BYTES {
        return refuse(
            format!("text heartbeats with --text --size {size}"),
            "a text message without room for its number cannot be told from a heartbeat",
            format!("use --size {BEAT_BYTES} or more, --binary or --heartbeat-kind ping"),
        );
    }
    let phase = args.heartbeat_phase.unwrap_or(HeartbeatPhase::Spread);
    Ok(Some(Heartbeat { interval, kind, phase }))
}

/// A body makes the heartbeats text.
fn kind(args: &Args) -> HeartbeatKind {
    let of_body = args.heartbeat_text.as_ref().map(|_| HeartbeatKind::Text);
    args.heartbeat_kind.or(of_body).unwrap_or(HeartbeatKind::Ping)
}

/// What a text heartbeat says, and what answers it.
pub(super) fn words(args: &Args) -> Result<Option<HeartbeatWords>, UsageError> {
    let Some(body) = &args.heartbeat_text else {
        return match &args.heartbeat_reply {
            None => Ok(None),
            Some(_) => refuse(
                "--heartbeat-reply without --heartbeat-text",
                "it answers a body of your own",
                "add --heartbeat-text or drop it",
            ),
        };
    };
    if kind(args) == HeartbeatKind::Ping {
        return refuse(
            "--heartbeat-text with --heartbeat-kind ping",
            "a ping's data is its number, by which the pong is found",
            "use --heartbeat-kind text or drop one of them",
        );
    }
    let reply = args.heartbeat_reply.as_ref().unwrap_or(body);
    Ok(Some(HeartbeatWords { body: body.clone(), reply: reply.clone() }))
}
