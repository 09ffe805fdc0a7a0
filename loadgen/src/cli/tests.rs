//! Flags and what they make; bad ones and what each is told.

use super::plan::*;
use super::*;

fn parse(args: &[&str]) -> Result<Plan, String> {
    let args = ["loadgen"].iter().chain(args);
    let args = Args::try_parse_from(args).map_err(|error| error.to_string())?;
    args.plan().map_err(|error| error.to_string())
}

#[track_caller]
fn plan(args: &str) -> Plan {
    parse(&args.split_whitespace().collect::<Vec<_>>()).unwrap()
}

#[test]
fn the_definition_of_the_flags_is_sound() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
}

#[test]
fn defaults() {
    let plan = plan("");
    assert_eq!(plan.target, Target::Embedded { threads: None });
    assert_eq!((plan.connections, plan.threads, plan.pin), (1000, None, true));
    assert_eq!(plan.duration, Duration::from_secs(10));
    assert_eq!((plan.warmup, plan.drain), (Duration::from_secs(2), Duration::from_secs(2)));
    assert_eq!(plan.ramp, Some(20_000.0));
    assert_eq!((plan.mode, plan.pace), (Mode::Echo, Pace::Closed { in_flight: 1 }));
    assert_eq!((plan.size, plan.payload), (Sizes::even(125, 125), PayloadKind::Binary));
    let heartbeat = Heartbeat {
        interval: Duration::from_secs(30),
        kind: HeartbeatKind::Ping,
        phase: HeartbeatPhase::Spread,
    };
    assert_eq!(plan.heartbeat, Some(heartbeat));
    assert_eq!(plan.fragmentation.fragments, 1);
    assert_eq!(plan.sources, Sources::Auto);
    assert!(!plan.verify && !plan.quiet && plan.outputs.is_empty() && plan.server_pid.is_none());
}

#[test]
fn the_main_job() {
    let plan = plan("--connections 100000 --heartbeat 30s --rate 2000 --duration 30s");
    assert_eq!(plan.connections, 100_000);
    assert_eq!(plan.pace, Pace::Open { rate: 2000.0, arrival: Arrival::Uniform });
    assert_eq!(plan.duration, Duration::from_secs(30));
}

#[test]
fn numbers_as_people_write_them() {
    assert_eq!(plan("-c 100k").connections, 100_000);
    assert_eq!(plan("-c 1.5M").connections, 1_500_000);
    assert_eq!(plan("--ramp 5k/s").ramp, Some(5000.0));
    assert_eq!(plan("--ramp off").ramp, None);
    assert_eq!(plan("--heartbeat off").heartbeat, None);
    assert_eq!(plan("-t 6").threads, Some(6));
    assert_eq!(plan("--size 64..4KiB").size, Sizes::even(64, 4096));
    assert_eq!(plan("--size 0").size, Sizes::even(0, 0));
    assert_eq!(plan("-R 0.5").pace, Pace::Open { rate: 0.5, arrival: Arrival::Uniform });
    assert_eq!(plan("--warmup 0s").warmup, Duration::ZERO);
    let output = |format, to| vec![Output { format, to }];
    assert_eq!(plan("--json -").outputs, output(Format::Json, Place::Stdout));
    assert_eq!(plan("--hlog a.hlog").outputs, output(Format::Hlog, Place::File("a.hlog".into())));
    assert_eq!(plan("--json - --csv a --hgrm b --hlog c").outputs.len(), 4);
}

#[test]
fn rates_of_one_connection_add_up() {
    let open = |rate| Pace::Open { rate, arrival: Arrival::Poisson };
    let flags = "-c 50 --rate-per-connection 2 --arrival poisson";
    assert_eq!(plan(flags).pace, open(100.0));
    let broadcast = "--mode broadcast --publishers 3 --subscribers 97";
    let flags = format!("{broadcast} --rate-per-connection 2 --arrival poisson");
    assert_eq!(plan(&flags).pace, open(6.0), "only publishers send");
}

#[test]
fn who_is_in_the_rooms() {
    let rooms = |flags: &str| {
        let plan = plan(&format!("--mode broadcast -R 20 {flags}"));
        let Mode::Broadcast(rooms) = plan.mode else { panic!("{plan:?}") };
        (plan.connections, rooms.rooms, rooms.publishers, rooms.subscribers)
    };
    assert_eq!(rooms(""), (1000, 1, 1, 999));
    assert_eq!(rooms("--subscribers 2000"), (2001, 1, 1, 2000));
    assert_eq!(rooms("--rooms 5 -c 100"), (100, 5, 5, 95));
    assert_eq!(rooms("--rooms 2 --publishers 4 --subscribers 6 -c 10"), (10, 2, 4, 6));
    assert_eq!(rooms("--publishers 7 --subscribers 0"), (7, 1, 7, 0));
}

#[test]
fn urls() {
    let endpoint = |text: &str| match plan(text).target {
        Target::Url(endpoint) => endpoint,
        other => panic!("{text}: {other:?}"),
    };
    let found = endpoint("ws://127.0.0.1:9001/echo?a=b");
    assert_eq!((found.host.as_str(), found.port), ("127.0.0.1", 9001));
    assert_eq!(
        (found.path.as_str(), found.host_header().as_str()),
        ("/echo?a=b", "127.0.0.1:9001")
    );
    assert_eq!(endpoint("WS://Example.COM").to_string(), "ws://example.com/");
    let found = endpoint("ws://[::1]:81");
    assert_eq!((found.host.as_str(), found.host_header().as_str()), ("::1", "[::1]:81"));
    let page = plan("ws://h/ --server-metrics http://h:9002/metrics?a=b").server_metrics.unwrap();
    assert_eq!((page.host_header().as_str(), page.path.as_str()), ("h:9002", "/metrics?a=b"));
    assert_eq!(plan("ws://[::1]:81 --source-ip ::1,::2").connections, 1000);
    let Target::Urls(several) = plan("ws://a/x -c 2 ws://b:90/").target else { panic!("two URLs") };
    assert_eq!(
        several.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["ws://a/x", "ws://b:90/"]
    );
    assert_eq!(plan("ws://a ws://a").target.endpoints().len(), 2, "one URL may stand there twice");
}

#[test]
fn paths_of_rooms() {
    let broadcast = "--mode broadcast -R 1";
    assert_eq!(plan("").path(7), "/");
    assert_eq!(plan("ws://h/x?y").path(7), "/x?y");
    assert_eq!(plan(broadcast).path(7), "/broadcast");
    assert_eq!(plan(&format!("{broadcast} --rooms 5")).path(7), "/broadcast/2");
    assert_eq!(plan(&format!("ws://h/room/?k=v {broadcast} --rooms 5")).path(7), "/room/2?k=v");
    assert_eq!(plan(&format!("ws://h/room {broadcast}")).path(7), "/room");
}

#[test]
fn request_extras() {
    let args =
        ["-H", "X-A:  b c ", "--header", "Authorization: Basic eA==", "--subprotocol", "a.b"];
    let extras = parse(&args).unwrap().request;
    let fields = |extras: &RequestExtras, connection| -> Vec<String> {
        let fields = extras.headers.iter();
        fields.map(|(name, value)| format!("{name}: {}", value.fill(connection))).collect()
    };
    assert_eq!(fields(&extras, 0), ["X-A: b c", "Authorization: Basic eA=="]);
    assert_eq!(extras.subprotocols, ["a.b"]);
    let personal = ["-H", "X-User: u{connection}", "--cookie", "a=1", "--cookie", "b={connection}"];
    let plan = parse(&personal).unwrap();
    assert!(plan.is_personal());
    assert_eq!(fields(&plan.request, 7), ["X-User: u7", "Cookie: a=1; b=7"]);
}

#[test]
fn a_url_for_each_connection() {
    let plan = plan("ws://h/{connection}/x?user={connection}&y=%7B");
    assert_eq!((plan.path(12).as_str(), plan.is_personal()), ("/12/x?user=12&y=%7B", true));
}

#[test]
fn words_of_ones_own() {
    let some = parse(&["--message", "{\"n\":{sequence},\"at\":{time}} {stamp}"]).unwrap();
    assert_eq!((some.payload, some.template.unwrap().is_stamped()), (PayloadKind::Text, true));
    assert_eq!((some.size.min, some.size.max), (13 + 1 + 13 + 12, 13 + 10 + 13 + 12));
    assert_eq!(plan("--message x --binary").payload, PayloadKind::Binary);
    plan("--message {stamp} --heartbeat-kind text --verify");
}

#[test]
fn heartbeats_of_ones_own() {
    let sync = plan("--heartbeat-phase sync --heartbeat 1s").heartbeat.unwrap();
    assert_eq!((sync.phase, sync.kind), (HeartbeatPhase::Sync, HeartbeatKind::Ping));
    let plan = plan("--heartbeat-text -1 --heartbeat-reply +1");
    assert_eq!(plan.heartbeat.unwrap().kind, HeartbeatKind::Text);
    let words = plan.heartbeat_words.unwrap();
    assert_eq!((words.body.as_str(), words.reply.as_str()), ("-1", "+1"));
}

/// Command line, and what its error must say: the input, the rule, the remedy.
const REFUSED: [(&str, &[&str]); 105] = [
    ("-c 0", &["'0'", "at least 1"]),
    ("-c 10x", &["'10x'", "not a whole number", "100k"]),
    ("-c 1.5", &["not a whole number"]),
    ("-c 1e9", &["not a whole number"]),
    ("-c 9999M", &["over the limit of 1000M"]),
    ("-c=-5", &["not a whole number"]),
    ("-t 0", &["auto", "from 1 to 1024"]),
    ("-t many", &["'many'", "auto"]),
    ("-t 9999", &["1024"]),
    ("-d 10", &["'10'", "unit", "30s"]),
    ("-d 0s", &["must be above 0"]),
    ("-d 1y", &["7 days"]),
    ("--rate 0", &["'0'", "above 0"]),
    ("--rate fast", &["'fast'", "number a second"]),
    ("--rate inf", &["number a second"]),
    ("--rate nan", &["number a second"]),
    ("--rate 1.2.3", &["number a second"]),
    ("--rate k", &["number a second"]),
    ("--rate 2000M", &["over the limit"]),
    ("--ramp 0", &["above 0"]),
    ("--heartbeat 0s", &["above 0", "off"]),
    ("--size 10..5", &["upside down", "smaller size first"]),
    ("--size x", &["not a size", "64..4096"]),
    ("--size ..", &["not a size"]),
    ("--size 65MiB", &["64 MiB"]),
    ("--size 99999999999999999999", &["not a size"]),
    ("--size 99999999999999MiB", &["64 MiB"]),
    ("--mode chat", &["'chat'", "echo", "broadcast", "idle"]),
    ("--arrival often --rate 1", &["uniform", "poisson"]),
    ("--text --binary", &["--text", "--binary", "cannot be used with"]),
    ("--seed x", &["'x'", "--seed"]),
    ("--bogus", &["--bogus"]),
    ("--rate 5 --rate-per-connection 5", &["--rate-per-connection", "both set", "drop one"]),
    ("--rate 5 --pipeline 4", &["--pipeline", "keeps its own", "drop one"]),
    ("--rate-per-connection 5 --pipeline 4", &["--pipeline with a rate"]),
    ("--arrival poisson", &["--arrival without a rate", "add --rate"]),
    ("--fragment-gap 5ms", &["--fragment-gap", "nothing between", "--fragments 2"]),
    ("--interleave-ping", &["--interleave-ping", "--fragments 2"]),
    ("--interleave-ping --fragments 1", &["--fragments 2"]),
    ("--fragments 126", &["--fragments 126 with --size 125", "one byte", "fewer"]),
    ("--fragments 4 --fragment-gap 5s", &["--fragment-gap 5s", "outlast the 10s", "shorter"]),
    (
        "-c 10 -R 100 --fragments 3 --fragment-gap 50ms",
        &[
            "--fragment-gap 50ms",
            "lasts 0.1 s",
            "each connection sends 10.00 a second",
            "lower rate",
        ],
    ),
    (
        "--text --size 4..64 --heartbeat-kind text",
        &["--size 4..64", "told from a heartbeat", "--size 12", "--heartbeat-kind ping"],
    ),
    (
        "--mode broadcast --rate 5 -c 100k --publishers 100k",
        &["--publishers 100000", "111.76 GiB, over 2.00 GiB", "fewer publishers"],
    ),
    ("--verify --size 8", &["--size 8", "verified", "--size 16"]),
    ("--pipeline 2 --size 8..9", &["--size 8..9", "told apart", "--size 16"]),
    ("--rooms 2", &["--rooms", "broadcast mode", "--mode broadcast"]),
    ("--publishers 2 --mode idle", &["--publishers", "--mode broadcast"]),
    ("--subscribers 2", &["--subscribers", "--mode broadcast"]),
    ("--mode broadcast", &["without a rate", "add --rate"]),
    ("--mode broadcast --pipeline 2", &["without a rate"]),
    ("--mode broadcast --rate 5 --pipeline 2", &["--pipeline with a rate"]),
    ("--mode broadcast --rate 5 --size 15", &["--size 15", "--size 16"]),
    ("--mode broadcast --rate 5 --rooms 3 --publishers 2", &["silent", "each room"]),
    ("--mode broadcast --rate 5 --publishers 2000", &["--publishers 2000", "1000", "raise"]),
    (
        "--mode broadcast --rate 5 -c 9 --publishers 2 --subscribers 8",
        &["--connections 9", "2 publishers and 8 subscribers", "drop"],
    ),
    ("--mode broadcast --rate 5 --heartbeat-kind text", &["whole room", "ping"]),
    ("--heartbeat off --heartbeat-kind text", &["--heartbeat off", "no heartbeat", "drop"]),
    ("--heartbeat off --heartbeat-phase sync", &["--heartbeat-phase", "--heartbeat off"]),
    ("--heartbeat off --heartbeat-text x", &["--heartbeat-text", "--heartbeat off"]),
    ("--heartbeat-reply x", &["--heartbeat-reply", "without --heartbeat-text", "add"]),
    ("--heartbeat-text x --heartbeat-kind ping", &["kind ping", "number", "kind text"]),
    ("--heartbeat-phase both", &["'both'", "spread", "sync"]),
    ("--heartbeat-text x --mode broadcast --rate 5", &["whole room", "ping"]),
    ("--size 64:90%,4KiB:9%", &["add up to 99, not to 100"]),
    ("--size normal:5", &["not a distribution", "normal:MEAN:SD"]),
    ("--size exp:100:4..90 --verify", &["--size exp:100:4..90", "verified", "--size 16"]),
    ("--message a{user}", &["--message 'a{user}'", "{user} is unknown", "{stamp}", "{{user}"]),
    ("--message a --size 5", &["--size", "as long as their words"]),
    ("--message a --message-file b", &["--message-file", "one template"]),
    ("--message {stamp}{stamp}", &["{stamp} stands there twice"]),
    ("--message {data}", &["{data} stands for a line", "--data FILE"]),
    ("--message a --data /dev/null", &["--data /dev/null", "no line"]),
    ("--data-order random", &["--data-order without --data"]),
    ("--message a --mode broadcast -R 5", &["--mode broadcast", "write {stamp}"]),
    ("--message a --mode idle", &["--message with --mode idle"]),
    ("--message a --heartbeat-kind text", &["without {stamp}", "--heartbeat-kind ping"]),
    ("--cookie a", &["--cookie 'a'", "NAME=VALUE"]),
    ("--cookie a=b;c=d", &["semicolon", "each cookie"]),
    ("--cookie a={user}", &["{user} is unknown", "{connection}"]),
    ("--cookie a=b -H Cookie:c=d", &["one Cookie field", "--cookie"]),
    ("ws://h/{user}", &["{user} is unknown", "{connection}"]),
    ("--mode idle --rate 5", &["--rate with --mode idle", "no messages"]),
    ("--mode idle --verify", &["--verify with --mode idle"]),
    ("--mode idle --size 5", &["--size with --mode idle"]),
    ("wss://h/", &["'wss://h/'", "not yet served", "use ws://"]),
    ("http://h/x", &["a WebSocket is asked for", "write ws://h/x"]),
    ("https://h/x", &["write ws://h/x"]),
    ("localhost:9001", &["no scheme", "ws://HOST:PORT/PATH"]),
    ("ftp://h", &["scheme is unknown", "use ws://"]),
    ("ws://", &["'ws://'", "host", "write ws://HOST:PORT/PATH"]),
    ("ws://h:99999/", &["port", "write ws://HOST"]),
    ("ws://h:0/", &["port 0", "server's port"]),
    ("ws://u:p@h/", &["password", "Authorization"]),
    ("ws://h/#x", &["fragment", "RFC 6455 3", "drop the #"]),
    ("ws://h/ --server-threads 2", &["--server-threads with a URL", "drop one"]),
    ("--server-pid 5", &["--server-pid 5 without a URL", "anyway", "add the URL"]),
    ("ws://h/ --server-metrics https://h/m", &["'https://h/m'", "not yet served", "use http://"]),
    ("ws://h/ --server-metrics ws://h/m", &["a page is asked for", "http://HOST:PORT/metrics"]),
    ("ws://h/ --server-metrics http://u@h/", &["name or password", "drop it"]),
    ("ws://h/ --server-metrics http://h/ --server-pid 5", &["--server-pid 5", "same process"]),
    ("--server-metrics http://h/metrics", &["--server-metrics http://h/metrics without a URL"]),
    ("ws://h/ --server-pid 0", &["--server-pid 0", "no process"]),
    ("--source-ip 127.0.0.1,x", &["'x' is not an IP address", "commas"]),
    ("--source-ip 127.0.0.1,127.0.0.1", &["twice", "once"]),
];

#[test]
fn every_bad_line_is_told_what_to_do() {
    for (line, parts) in REFUSED {
        let args: Vec<&str> = line.split_whitespace().collect();
        let error = parse(&args).expect_err(line);
        for part in parts {
            assert!(error.contains(part), "{line}: '{part}' is not in: {error}");
        }
    }
}

#[test]
fn what_lies_just_within_the_bounds() {
    assert_eq!(plan("-c 11 -R 100 --fragments 3 --fragment-gap 50ms").fragmentation.fragments, 3);
    assert_eq!(plan("--text --size 12 --heartbeat-kind text").size.min, 12);
    plan("--size 4 --heartbeat-kind text");
    plan("--mode broadcast --rate 5 -c 100k --publishers 100k --rooms 100");
}

#[test]
fn bad_lines_with_spaces_in_them() {
    let refused: [(&[&str], &[&str]); 17] = [
        (&[""], &["no scheme"]),
        (&["ws://a b/"], &["'ws://a b/'"]),
        (&["--source-ip", "::1"], &["::1", "different address families"]),
        (&["ws://127.0.0.1/", "--source-ip", "::1"], &["server's family"]),
        (
            &["ws://127.0.0.1", "ws://[::1]", "--source-ip", "::1"],
            &["both address families", "URLs of one family"],
        ),
        (&["ws://a", "ws://b", "ws://c", "-c", "2"], &["3 URLs with 2 conn", "--connections 3"]),
        (
            &["ws://a", "ws://b", "--mode", "broadcast", "-R", "1"],
            &["2 URLs with --rooms 1", "a room lives on one server", "use --rooms 2 or more"],
        ),
        (&["ws://a", "b:9001"], &["URL 'b:9001'", "it has no scheme"]),
        (&["-H", "no colon"], &["'no colon'", "-H 'NAME: VALUE'"]),
        (&["-H", "a b: c"], &["'a b: c'", "not a token"]),
        (&["-H", "a: b\r\nc: d"], &["\\r\\n", "one line"]),
        (&["-H", "Host: x"], &["writes this field itself", "into the URL"]),
        (&["-H", "sec-websocket-protocol: x"], &["use --subprotocol"]),
        (&["--json", "-", "--csv", "-"], &["--csv - with --json", "a file of its own"]),
        (&["--hgrm", "a", "--hlog", "a"], &["--hlog a with --hgrm"]),
        (&["--subprotocol", "a, b"], &["'a, b'", "token", "one name"]),
        (&["--subprotocol", "a", "--subprotocol", "a"], &["differ (RFC 6455 4.1)", "once"]),
    ];
    for (args, parts) in refused {
        let error = parse(args).expect_err(&format!("{args:?}"));
        for part in parts {
            assert!(error.contains(part), "{args:?}: '{part}' is not in: {error}");
        }
    }
    let error = parse(&["--origin", "a\nb"]).unwrap_err();
    assert!(error.contains("--origin") && error.contains("control characters"), "{error}");
}

#[test]
fn the_help_says_total() {
    let help = <Cli as clap::CommandFactory>::command().render_long_help().to_string();
    let rate = help.split("--rate <").nth(1).unwrap().split("--").next().unwrap();
    assert!(rate.contains("total over all connections"), "{rate}");
    assert!(help.contains("Exit codes"), "{help}");
}

fn find(line: &str) -> Result<Find, String> {
    let cli = Cli::try_parse_from(["loadgen", "find"].into_iter().chain(line.split(' ')));
    let Some(Command::Find(args)) = cli.map_err(|error| error.to_string())?.command else {
        panic!("{line} is no search");
    };
    args.find().map_err(|error| error.to_string())
}

#[test]
fn a_search_sets_its_axis_and_keeps_the_rest() {
    let rate = find("rate ws://127.0.0.1:9001/echo -c 500 --size 64 --step 2s").unwrap();
    assert_eq!(
        (rate.axis, rate.span.start as u64, rate.span.most as u64),
        (Axis::Rate, 1000, 10_000_000)
    );
    let plan = rate.plan(12_345.0).unwrap();
    assert_eq!(plan.pace, Pace::Open { rate: 12_345.0, arrival: Arrival::Uniform });
    assert_eq!((plan.connections, plan.duration), (500, Duration::from_secs(2)));
    assert_eq!(rate.slo, Slo::parse("response.p99<20ms,errors<0.1%,established>=99.9%").unwrap());
    let connections = find("connections -c 2k --rate-per-connection 0.5 --max 10k").unwrap();
    assert_eq!((connections.span.start as u64, connections.span.most as u64), (2000, 10_000));
    assert!(connections.span.whole);
    let plan = connections.plan(4000.0).unwrap();
    assert_eq!(plan.pace, Pace::Open { rate: 2000.0, arrival: Arrival::Uniform });
    let idle = find("connections --mode idle --slo ping.p99<5ms --tolerance 1%").unwrap();
    assert_eq!(idle.slo, Slo::parse("ping.p99<5ms").unwrap());
    assert!((idle.span.tolerance - 0.01).abs() < 1e-9);
    let usual = find("rate --mode broadcast --subscribers 10").unwrap().slo;
    assert!(format!("{usual:?}").contains("delivery.p99"));
}

#[test]
fn a_bad_search_is_refused() {
    for (line, part) in [
        ("messages", "invalid value 'messages'"),
        ("rate --slo response.p99", "write FIGURE<BOUND"),
        ("rate --pipeline 4", "find rate with --pipeline"),
        ("rate --rate-per-connection 4", "the search sets the rate"),
        ("rate --mode idle", "find rate with --mode idle"),
        ("rate --step 1s --duration 1s", "--step 1s with --duration"),
        ("rate --rate 5k --max 2k", "the search begins at 5000"),
        ("rate --tolerance 0", "0.1% to 100%"),
        ("rate wss://127.0.0.1/", "TLS is not yet served"),
        ("connections --mode idle --rate 5", "idle connections send no messages"),
    ] {
        let error = find(line).unwrap_err();
        assert!(error.contains(part), "{line}: {error}");
    }
}
