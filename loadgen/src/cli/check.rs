//! What flags say together: contradictions are refused, defaults are filled in.

use std::net::IpAddr;
use std::time::Duration;

use super::plan::{
    Arrival, Endpoint, Fragmentation, Heartbeat, HeartbeatKind, JsonTo, Mode, Pace, PayloadKind,
    Plan, RequestExtras, Rooms, STAMP_BYTES, SizeRange, Sources, Target,
};
use super::{Args, ModeName};

/// Connections when nothing says how many.
const CONNECTIONS: u32 = 1000;

/// Payload bytes when nothing says how many: the longest with a length of one byte.
const SIZE: usize = 125;

/// A command line that cannot be run. Exit code 2.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{input}: {rule}; {remedy}")]
pub struct UsageError {
    /// What was written.
    pub input: String,
    /// The rule it broke.
    pub rule: String,
    /// What to do.
    pub remedy: String,
}

fn refuse<T>(
    input: impl Into<String>,
    rule: impl Into<String>,
    remedy: impl Into<String>,
) -> Result<T, UsageError> {
    Err(UsageError { input: input.into(), rule: rule.into(), remedy: remedy.into() })
}

/// Flags -> plan.
pub(super) fn plan(args: &Args) -> Result<Plan, UsageError> {
    let target = target(args)?;
    let mode = mode(args)?;
    let connections = match mode {
        Mode::Broadcast(rooms) => rooms.publishers + rooms.subscribers,
        Mode::Echo | Mode::Idle => args.connections.unwrap_or(CONNECTIONS),
    };
    if mode == Mode::Idle {
        refuse_messages(args)?;
    }
    let pace = pace(args, mode, connections)?;
    let size = args.size.unwrap_or(SizeRange { min: SIZE, max: SIZE });
    Ok(Plan {
        sources: sources(args, &target)?,
        target,
        connections,
        threads: args.threads.0,
        pin: !args.no_pin,
        duration: args.duration,
        warmup: args.warmup,
        drain: args.drain,
        ramp: args.ramp.0,
        connect_timeout: args.timeout,
        seed: args.seed,
        mode,
        pace,
        heartbeat: heartbeat(args)?,
        size: stamped(args, mode, size)?,
        payload: if args.text { PayloadKind::Text } else { PayloadKind::Binary },
        fragmentation: fragmentation(args, size)?,
        verify: args.verify,
        request: request(args)?,
        server_pid: server_pid(args)?,
        json: args.json.as_ref().map(|path| {
            if path.as_os_str() == "-" { JsonTo::Stdout } else { JsonTo::File(path.clone()) }
        }),
        quiet: args.quiet,
    })
}

fn target(args: &Args) -> Result<Target, UsageError> {
    let Some(text) = &args.url else {
        return Ok(Target::Embedded { threads: args.server_threads.and_then(|n| n.0) });
    };
    if args.server_threads.is_some() {
        return refuse(
            "--server-threads with a URL",
            "it sets the threads of the server that runs inside when there is no URL",
            "drop one of them",
        );
    }
    endpoint(text).map(Target::Url)
}

/// A URL by RFC 6455 3.
fn endpoint(text: &str) -> Result<Endpoint, UsageError> {
    let refuse = |rule: &str, remedy: &str| refuse(format!("URL '{text}'"), rule, remedy);
    let Some((scheme, rest)) = text.split_once("://") else {
        return refuse("it has no scheme", "write ws://HOST:PORT/PATH");
    };
    match scheme.to_ascii_lowercase().as_str() {
        "ws" => {}
        "wss" => return refuse("TLS is not yet served", "use ws://"),
        "http" | "https" => {
            return refuse("a WebSocket is asked for, not a page", &format!("write ws://{rest}"));
        }
        _ => return refuse("the scheme is unknown", "use ws://"),
    }
    let url = match url::Url::parse(text) {
        Ok(url) => url,
        Err(error) => return refuse(&error.to_string(), "write ws://HOST:PORT/PATH"),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(
            "a name or password in a URL is not sent",
            "use -H 'Authorization: Basic ...'",
        );
    }
    if url.fragment().is_some() {
        return refuse(
            "a WebSocket URL has no fragment (RFC 6455 3)",
            "drop the # and what follows",
        );
    }
    let Some(host) = url.host() else {
        return refuse("it names no host", "write ws://HOST:PORT/PATH");
    };
    let port = url.port_or_known_default().unwrap_or(80);
    if port == 0 {
        return refuse("nothing listens on port 0", "write the server's port");
    }
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let host = match host {
        url::Host::Ipv6(address) => address.to_string(),
        host => host.to_string(),
    };
    Ok(Endpoint { host, port, path })
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
    Ok(Mode::Broadcast(Rooms { rooms, publishers, subscribers }))
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
        ("--pipeline", args.pipeline.is_some()),
        ("--size", args.size.is_some()),
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

fn pace(args: &Args, mode: Mode, connections: u32) -> Result<Pace, UsageError> {
    let senders = match mode {
        Mode::Idle => return Ok(Pace::Silent),
        Mode::Echo => connections,
        Mode::Broadcast(rooms) => rooms.publishers,
    };
    let rate = match (args.rate, args.rate_per_connection) {
        (Some(_), Some(_)) => {
            return refuse(
                "--rate with --rate-per-connection",
                "both set the same rate, one in total and one for each connection",
                "drop one of them",
            );
        }
        (Some(total), None) => Some(total),
        (None, Some(each)) => Some(each * f64::from(senders)),
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

fn heartbeat(args: &Args) -> Result<Option<Heartbeat>, UsageError> {
    let kind = args.heartbeat_kind.unwrap_or(HeartbeatKind::Ping);
    let Some(interval) = args.heartbeat.0 else {
        return match args.heartbeat_kind {
            None => Ok(None),
            Some(_) => refuse(
                "--heartbeat-kind with --heartbeat off",
                "there is no heartbeat to have a kind",
                "drop one of them",
            ),
        };
    };
    if kind == HeartbeatKind::Text && args.mode == ModeName::Broadcast {
        return refuse(
            "--heartbeat-kind text with --mode broadcast",
            "the server would deliver each heartbeat to the whole room",
            "use --heartbeat-kind ping",
        );
    }
    Ok(Some(Heartbeat { interval, kind }))
}

/// Whether messages are long enough for what must be found in their replies.
fn stamped(args: &Args, mode: Mode, size: SizeRange) -> Result<SizeRange, UsageError> {
    let why = match mode {
        Mode::Broadcast(_) => "deliveries are counted by the publisher and number in the payload",
        _ if args.verify => "replies are verified by the connection and number in the payload",
        _ if args.pipeline.is_some_and(|n| n > 1) && size.min != size.max => {
            "replies of several sizes are told apart by the number in the payload"
        }
        _ => return Ok(size),
    };
    if size.min < STAMP_BYTES {
        return refuse(format!("--size {size}"), why, format!("use --size {STAMP_BYTES} or more"));
    }
    Ok(size)
}

fn fragmentation(args: &Args, size: SizeRange) -> Result<Fragmentation, UsageError> {
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
    if fragments as usize > size.min.max(1) {
        return refuse(
            format!("--fragments {fragments} with --size {size}"),
            "each frame of a message carries one byte at least",
            "ask for fewer fragments or longer messages",
        );
    }
    let gap = args.fragment_gap.unwrap_or(Duration::ZERO);
    if gap.saturating_mul(fragments - 1) > args.duration {
        return refuse(
            format!("--fragment-gap {}", humantime::format_duration(gap)),
            format!(
                "one message of {fragments} fragments would outlast the {} measured",
                humantime::format_duration(args.duration)
            ),
            "use a shorter gap or a longer --duration",
        );
    }
    Ok(Fragmentation { fragments, gap, interleave_ping: args.interleave_ping })
}

fn sources(args: &Args, target: &Target) -> Result<Sources, UsageError> {
    let input = format!("--source-ip {}", args.source_ip);
    let list = match args.source_list() {
        Ok(None) => return Ok(Sources::Auto),
        Ok(Some(list)) => list,
        Err(rule) => return refuse(input, rule, "write addresses separated by commas, or auto"),
    };
    for (at, source) in list.iter().enumerate() {
        if list[..at].contains(source) {
            return refuse(input, format!("{source} stands there twice"), "name each address once");
        }
        let v6 = match target {
            Target::Embedded { .. } => Some(false),
            Target::Url(to) => to.host.parse::<IpAddr>().ok().map(|to| to.is_ipv6()),
        };
        if v6.is_some_and(|v6| v6 != source.is_ipv6()) {
            return refuse(
                input,
                format!("{source} and the server are of different address families"),
                "use addresses of the server's family",
            );
        }
    }
    Ok(Sources::List(list))
}

fn request(args: &Args) -> Result<RequestExtras, UsageError> {
    let headers = args.headers.iter().map(|text| header(text)).collect::<Result<_, _>>()?;
    for (at, protocol) in args.subprotocol.iter().enumerate() {
        let input = format!("--subprotocol '{protocol}'");
        if !is_token(protocol) {
            return refuse(
                input,
                "a subprotocol is a token: letters, digits and -._~!#$%&'*+^`|",
                "give one name for each --subprotocol",
            );
        }
        if args.subprotocol[..at].contains(protocol) {
            return refuse(input, "names must differ (RFC 6455 4.1)", "give it once");
        }
    }
    if let Some(origin) = &args.origin
        && !is_value(origin)
    {
        return refuse(
            "--origin",
            "a header's value is one line of text",
            "drop control characters",
        );
    }
    Ok(RequestExtras {
        headers,
        subprotocols: args.subprotocol.clone(),
        origin: args.origin.clone(),
    })
}

/// Fields that the handshake writes itself, and the flag that sets each, if any.
const OWN_FIELDS: [(&str, &str); 8] = [
    ("host", "put the host into the URL"),
    ("upgrade", "drop it"),
    ("connection", "drop it"),
    ("sec-websocket-key", "drop it"),
    ("sec-websocket-version", "drop it"),
    ("sec-websocket-extensions", "drop it: no extension is offered"),
    ("sec-websocket-protocol", "use --subprotocol"),
    ("origin", "use --origin"),
];

fn header(text: &str) -> Result<(String, String), UsageError> {
    let input = format!("-H '{}'", text.escape_debug());
    let Some((name, value)) = text.split_once(':') else {
        return refuse(input, "a header has a name, a colon and a value", "write -H 'NAME: VALUE'");
    };
    let value = value.trim_matches([' ', '\t']);
    if !is_token(name) {
        return refuse(input, "the name is not a token (RFC 9110 5.1)", "write -H 'NAME: VALUE'");
    }
    if !is_value(value) {
        return refuse(input, "a header's value is one line of text", "drop control characters");
    }
    match OWN_FIELDS.iter().find(|(own, _)| name.eq_ignore_ascii_case(own)) {
        Some((_, remedy)) => refuse(input, "the handshake writes this field itself", *remedy),
        None => Ok((name.to_owned(), value.to_owned())),
    }
}

/// RFC 9110 5.6.2.
fn is_token(text: &str) -> bool {
    let symbol = |b: u8| b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || symbol(b))
}

/// RFC 9110 5.5: visible characters, spaces and tabs.
fn is_value(text: &str) -> bool {
    text.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f))
}

fn server_pid(args: &Args) -> Result<Option<u32>, UsageError> {
    match args.server_pid {
        Some(0) => refuse("--server-pid 0", "no process has that id", "give the server's"),
        Some(pid) if args.url.is_none() => refuse(
            format!("--server-pid {pid} without a URL"),
            "the server inside is measured anyway",
            "add the URL or drop it",
        ),
        pid => Ok(pid),
    }
}
