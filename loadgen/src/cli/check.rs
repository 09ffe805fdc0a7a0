//! What flags say together: contradictions are refused, defaults are filled in.

use std::time::Duration;

use super::life::{self, Around};
use super::plan::{Arrival, Endpoint, Live, Mode, Pace, PayloadKind, Plan, Rooms, STAMP_BYTES};
use super::sizes::Sizes;
use super::usage::{UsageError, refuse};
use super::{
    Args, ModeName, ProtocolName, address, fragments, heartbeat, message, protocol, request,
    scenario, target,
};
use crate::heard::Heard;
use crate::human::bytes;
use crate::payload::stamp_bytes;

/// Connections when nothing says how many.
const CONNECTIONS: u32 = 1000;

/// Most memory for what the members of rooms heard: 2 GiB, 100,000 members and 1,700 publishers.
const HEARD_BYTES: u128 = 2 << 30;

/// The measured window when nothing says how long.
const DURATION: Duration = Duration::from_secs(10);

/// Payload bytes when nothing says how many: the longest with a length of one byte.
const SIZE: usize = 125;

/// Flags -> plan.
pub(super) fn plan(args: &Args) -> Result<Plan, UsageError> {
    let plan = if args.phases.is_empty() { one(args)? } else { scenario::plan(&args.phases, one)? };
    let Some(matrix) = &args.fragment_matrix else { return Ok(plan) };
    let senders = senders(plan.mode, plan.connections);
    matrix.plan(args, plan, senders)
}

/// Flags -> plan of a window with one phase.
fn one(args: &Args) -> Result<Plan, UsageError> {
    let target = target::target(args)?;
    let mode = mode(args)?;
    let connections = match mode {
        Mode::Broadcast(rooms) => rooms.publishers + rooms.subscribers,
        Mode::Echo | Mode::Idle => args.connections.unwrap_or(CONNECTIONS),
    };
    target::shared(&target, mode, connections)?;
    if mode == Mode::Idle {
        refuse_messages(args)?;
    }
    let pace = pace(args, mode, connections)?;
    let (template, size) = match message::template(args, mode)? {
        Some((template, size)) => (Some(template), size),
        None => (None, args.size.clone().unwrap_or(Sizes::even(SIZE, SIZE))),
    };
    if template.is_none() {
        stamped(args, mode, &size)?;
    }
    let heartbeat = heartbeat::heartbeat(args, &size, template.as_ref())?;
    let ramp_to = ramp_to(args, pace)?;
    let busiest = busiest(pace, ramp_to);
    let fragmentation = fragments::fragmentation(args, &size, busiest, senders(mode, connections))?;
    let around = Around {
        mode,
        connections,
        duration: args.window.unwrap_or_else(|| duration(args)),
        timeout: args.timeout,
        pace: busiest,
        senders: senders(mode, connections),
        shortest: size.min,
    };
    Ok(Plan {
        life: life::life(&args.life, &around)?,
        sources: target::sources(args, &target)?,
        target,
        connections,
        threads: args.threads.0,
        pin: !args.no_pin,
        duration: duration(args),
        warmup: args.warmup,
        drain: args.drain,
        ramp: args.ramp.0,
        connect_timeout: args.timeout,
        seed: args.seed,
        mode,
        pace,
        heartbeat,
        heartbeat_words: heartbeat::words(args)?,
        size,
        template,
        payload: payload(args),
        protocol: protocol::protocol(args)?,
        fragmentation,
        ramp_to,
        phases: Vec::new(),
        fragment_matrix: None,
        verify: args.verify,
        request: request::extras(args)?,
        slo: args.slo.clone(),
        server_pid: server_pid(args)?,
        server_metrics: server_metrics(args)?,
        floor: args.floor,
        outputs: args.documents.outputs()?,
        quiet: args.quiet,
        live: if args.quiet { Live::Off } else { args.live },
        prometheus: args.prometheus,
    })
}

/// The pace at its highest.
fn busiest(pace: Pace, ramp_to: Option<f64>) -> Pace {
    match (pace, ramp_to) {
        (Pace::Open { rate, arrival }, Some(to)) => Pace::Open { rate: rate.max(to), arrival },
        (pace, _) => pace,
    }
}

/// What a rooms protocol carries is JSON, and so text.
fn payload(args: &Args) -> PayloadKind {
    let text = message::is_text(args) || args.protocol.protocol != ProtocolName::Raw;
    if text { PayloadKind::Text } else { PayloadKind::Binary }
}

pub(super) fn duration(args: &Args) -> Duration {
    args.duration.unwrap_or(DURATION)
}

fn mode(args: &Args) -> Result<Mode, UsageError> {
    if args.mode != ModeName::Broadcast {
        let flags = [
            ("--rooms", args.rooms.is_some()),
            ("--publishers", args.publishers.is_some()),
            ("--subscribers", args.subscribers.is_some()),
        ];
        return match flags.iter().find(|(_, given)| *given) {
            Some((flag, _)) => {
                refuse(*flag, "it belongs to the broadcast mode", "add --mode broadcast or drop it")
            }
            None if args.mode == ModeName::Idle => Ok(Mode::Idle),
            None => Ok(Mode::Echo),
        };
    }
    let rooms = args.rooms.unwrap_or(1);
    let publishers = args.publishers.unwrap_or(rooms);
    let subscribers = match (args.subscribers, args.connections) {
        (Some(subscribers), None) => subscribers,
        (Some(subscribers), Some(all)) if u64::from(all) == sum(publishers, subscribers) => {
            subscribers
        }
        (Some(subscribers), Some(all)) => {
            return refuse(
                format!("--connections {all}"),
                format!(
                    "{publishers} publishers and {subscribers} subscribers make another number"
                ),
                "drop --connections or --subscribers",
            );
        }
        (None, all) => match all.unwrap_or(CONNECTIONS).checked_sub(publishers) {
            Some(subscribers) => subscribers,
            None => {
                return refuse(
                    format!("--publishers {publishers}"),
                    format!("there are {} connections in all", all.unwrap_or(CONNECTIONS)),
                    "raise --connections or give --subscribers",
                );
            }
        },
    };
    if publishers < rooms {
        return refuse(
            format!("--publishers {publishers} with --rooms {rooms}"),
            "a room without a publisher stays silent",
            "have at least one publisher for each room",
        );
    }
    if sum(publishers, subscribers) > u64::from(u32::MAX) {
        return refuse(
            format!("--publishers {publishers} --subscribers {subscribers}"),
            "there are more than 4 billion connections",
            "ask for fewer",
        );
    }
    let heard = heard_bytes(rooms, publishers, subscribers);
    if heard > HEARD_BYTES {
        return refuse(
            format!("--publishers {publishers} --rooms {rooms} --subscribers {subscribers}"),
            format!(
                "what each member heard of each publisher of its room takes {}, over {}",
                bytes(heard as f64),
                bytes(HEARD_BYTES as f64)
            ),
            "have fewer publishers in a room, or more rooms",
        );
    }
    Ok(Mode::Broadcast(Rooms { rooms, publishers, subscribers }))
}

/// Memory for what every member heard of every publisher of its room.
fn heard_bytes(rooms: u32, publishers: u32, subscribers: u32) -> u128 {
    let cells = u128::from(sum(publishers, subscribers)) * u128::from(publishers.div_ceil(rooms));
    cells * size_of::<Heard>() as u128
}

fn sum(publishers: u32, subscribers: u32) -> u64 {
    u64::from(publishers) + u64::from(subscribers)
}

/// Idle connections send no messages, so nothing may be said about them.
fn refuse_messages(args: &Args) -> Result<(), UsageError> {
    let flags = [
        ("--rate", args.rate.is_some()),
        ("--rate-per-connection", args.rate_per_connection.is_some()),
        ("--arrival", args.arrival.is_some()),
        ("--ramp-to", args.ramp_to.is_some()),
        ("--pipeline", args.pipeline.is_some()),
        ("--size", args.size.is_some()),
        ("--message", args.message.is_some()),
        ("--message-file", args.message_file.is_some()),
        ("--data", args.data.is_some()),
        ("--text", args.text),
        ("--binary", args.binary),
        ("--fragments", args.fragments.is_some()),
        ("--fragment-gap", args.fragment_gap.is_some()),
        ("--interleave-ping", args.interleave_ping),
        ("--verify", args.verify),
    ];
    match flags.iter().find(|(_, given)| *given) {
        Some((flag, _)) => refuse(
            format!("{flag} with --mode idle"),
            "idle connections send no messages",
            "drop it, or choose another mode",
        ),
        None => Ok(()),
    }
}

/// Connections that send messages.
fn senders(mode: Mode, connections: u32) -> u32 {
    match mode {
        Mode::Idle => 0,
        Mode::Echo => connections,
        Mode::Broadcast(rooms) => rooms.publishers,
    }
}

fn pace(args: &Args, mode: Mode, connections: u32) -> Result<Pace, UsageError> {
    if mode == Mode::Idle {
        return Ok(Pace::Silent);
    }
    let rate = match (args.rate, args.rate_per_connection) {
        (Some(_), Some(_)) => {
            return refuse(
                "--rate with --rate-per-connection",
                "both set the same rate, one in total and one for each connection",
                "drop one of them",
            );
        }
        (Some(total), None) => Some(total),
        (None, Some(each)) => Some(each * f64::from(senders(mode, connections))),
        (None, None) => None,
    };
    match (rate, args.pipeline, args.arrival) {
        (Some(_), Some(_), _) => refuse(
            "--pipeline with a rate",
            "a pipeline follows the server's pace, a rate keeps its own",
            "drop one of them",
        ),
        (Some(rate), None, arrival) => {
            Ok(Pace::Open { rate, arrival: arrival.unwrap_or(Arrival::Uniform) })
        }
        (None, _, Some(_)) => refuse(
            "--arrival without a rate",
            "a closed loop has no send times of its own",
            "add --rate or drop it",
        ),
        (None, _, None) if matches!(mode, Mode::Broadcast(_)) => refuse(
            "--mode broadcast without a rate",
            "publishers keep a pace of their own",
            "add --rate, in messages published a second in all",
        ),
        (None, in_flight, None) => Ok(Pace::Closed { in_flight: in_flight.unwrap_or(1) }),
    }
}

/// Whether messages are long enough for what must be found in their replies.
fn stamped(args: &Args, mode: Mode, size: &Sizes) -> Result<(), UsageError> {
    let why = match mode {
        Mode::Broadcast(_) => "deliveries are counted by the publisher and number in the payload",
        _ if args.verify => "replies are verified by the connection and number in the payload",
        _ if args.pipeline.is_some_and(|n| n > 1) && size.min != size.max => {
            "replies of several sizes are told apart by the number in the payload"
        }
        _ => return Ok(()),
    };
    let payload = payload(args);
    let timed = matches!(mode, Mode::Broadcast(_));
    let least = stamp_bytes(payload, timed).max(STAMP_BYTES);
    if size.min < least {
        return refuse(format!("--size {size}"), why, format!("use --size {least} or more"));
    }
    Ok(())
}

/// The rate at the window's end.
fn ramp_to(args: &Args, pace: Pace) -> Result<Option<f64>, UsageError> {
    match (args.ramp_to, pace, args.rate) {
        (Some(to), Pace::Open { .. }, Some(_)) => Ok(Some(to)),
        (Some(to), ..) => refuse(
            format!("--ramp-to {to}"),
            "it is the total rate at the end of a window that begins with --rate",
            "add --rate or drop it",
        ),
        (None, ..) => Ok(None),
    }
}

fn server_pid(args: &Args) -> Result<Option<u32>, UsageError> {
    match args.server_pid {
        Some(0) => refuse("--server-pid 0", "no process has that id", "give the server's"),
        Some(pid) if args.url.is_empty() => refuse(
            format!("--server-pid {pid} without a URL"),
            "the server inside is measured anyway",
            "add the URL or drop it",
        ),
        pid => Ok(pid),
    }
}

fn server_metrics(args: &Args) -> Result<Option<Endpoint>, UsageError> {
    let Some(text) = &args.server_metrics else { return Ok(None) };
    let page = address::page(text)?;
    let input = format!("--server-metrics {text}");
    match (args.server_pid, args.url.is_empty()) {
        (Some(pid), _) => refuse(
            format!("{input} with --server-pid {pid}"),
            "both tell of the same process",
            "drop one of them",
        ),
        (None, true) => refuse(
            format!("{input} without a URL"),
            "the server inside is measured anyway",
            "add the URL or drop it",
        ),
        (None, false) => Ok(Some(page)),
    }
}
