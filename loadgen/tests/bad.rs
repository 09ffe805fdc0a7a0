//! Bad input from both sides, the command line's and the server's: each gets one clear line and the
//! right exit code, and nothing panics.

#![allow(clippy::unwrap_used)]

#[path = "run/raw.rs"]
mod raw;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::time::Duration;

use clap::{Arg, ArgAction, CommandFactory as _};
use loadgen::cli::Cli;
use raw::Answer;

const USAGE: i32 = 2;

/// A bad value for each flag and place that takes any, and what must be said of it. Those that take
/// words of a list or no value at all need no row. A value that is bad only beside another flag has
/// that one in front.
const BAD: &[(&str, &str, &str)] = &[
    ("url", "localhost:9001", "it has no scheme; write ws://HOST:PORT/PATH"),
    ("connections", "0", "must be at least 1"),
    ("threads", "many", "write auto, or a number of threads from 1 to 1024"),
    ("duration", "10", "not a duration: write a number with its unit"),
    ("rate", "0", "a rate must be above 0"),
    ("rate-per-connection", "fast", "not a rate: write a number a second"),
    ("pipeline", "0", "must be at least 1"),
    ("rooms", "1.5", "not a whole number"),
    ("publishers", "0", "must be at least 1"),
    ("subscribers", "-1", "not a whole number"),
    ("prometheus", "here", "invalid socket address syntax"),
    ("message", "{data}", "--message"),
    ("message-file", "/no/such/file", "--message-file"),
    ("data", "/no/such/file", "--data"),
    ("ramp-to", "0", "a rate must be above 0"),
    ("fragment-matrix", "x", "'x' has no list"),
    ("scenario", "/no/such/file", "--scenario"),
    ("slow-consumers", "x", "write SHARE:BYTES/s, such as 1%:1kB/s"),
    ("dribble", "0", "write BYTES@GAP, such as 16@1ms"),
    ("churn", "0", "a rate must be above 0"),
    ("storm", "50%", "write SHARE@TIME, such as 50%@60s"),
    ("reconnect", "often", "write fixed:TIME, backoff, backoff:BASE..CAP or off"),
    ("html", "/no/such/directory/a", "name a file in a directory that can"),
    ("channel", "news", "plain messages know no channels"),
    ("token", "a.b.c", "plain messages know no channels and no tokens"),
    ("token-hmac-secret", "secret", "add --protocol centrifugo or drop it"),
    ("ramp", "0", "a rate must be above 0"),
    ("warmup", "soon", "not a duration"),
    ("drain", "1y", "over the limit of 7 days"),
    ("timeout", "0s", "must be above 0"),
    ("seed", "x", "invalid digit"),
    ("heartbeat", "0s", "must be above 0; write off for none"),
    ("heartbeat-text", "--heartbeat-kind=ping beat", "a ping's data is its number"),
    ("heartbeat-reply", "beat", "--heartbeat-reply without --heartbeat-text"),
    ("cookie", "none", "a cookie is a name, = and a value"),
    ("size", "10..5", "the range is upside down"),
    ("fragments", "0", "must be at least 1"),
    ("fragment-gap", "5", "not a duration"),
    ("source-ip", "here", "'here' is not an IP address"),
    ("header", "no colon", "write -H 'NAME: VALUE'"),
    ("subprotocol", "a, b", "a subprotocol is a token"),
    ("origin", "a\u{7f}b", "drop control characters"),
    ("slo", "response.p99", "write FIGURE<BOUND"),
    ("server-pid", "0", "no process has that id"),
    ("server-metrics", "127.0.0.1:9002", "it has no scheme; write http://HOST:PORT/metrics"),
    ("server-threads", "0", "write auto, or a number of threads"),
    ("json-summary", "/no/such/directory/a", "name a file in a directory that can"),
    ("json", "/no/such/directory/a", "name a file in a directory that can"),
    ("csv", "/no/such/directory/a", "name a file in a directory that can"),
    ("hgrm", "/no/such/directory/a", "name a file in a directory that can"),
    ("hlog", "/no/such/directory/a", "name a file in a directory that can"),
    ("step", "0s", "must be above 0"),
    ("tolerance", "0", "write a share from 0.1% to 100%"),
    ("max", "0", "a rate must be above 0"),
    ("results", "/no/such/result", NO_FILE),
    ("against", "/no/such/result", NO_FILE),
    ("baseline", "/no/such/result", NO_FILE),
    ("metric", "response", "write rate, errors or KIND.pNN"),
    ("confidence", "0", "write a confidence from 50% to 99.9%"),
    ("threshold", "often", "write a share from 0% to below 100%"),
];

/// A file that is to be read and is not there is no fault of the line: exit code 1.
const NO_FILE: &str = "it cannot be read (No such file or directory)";

fn loadgen(args: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen")).args(args).output().unwrap()
}

/// What a run said, which must be no panic; it ended with `code`.
fn said(args: &[String], code: i32) -> String {
    let output = loadgen(args);
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    assert!(!said.contains("panicked") && !said.contains("os error"), "{args:?}: {said}");
    said
}

/// The name that a row has: the long flag's, or that of the place.
fn name(arg: &Arg) -> &str {
    arg.get_long().unwrap_or_else(|| arg.get_id().as_str())
}

/// A bad value and what it is told.
fn bad(arg: &Arg) -> (&'static str, &'static str) {
    if matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse | ArgAction::Count) {
        return ("yes", "unexpected value 'yes'");
    }
    if !arg.get_possible_values().is_empty() {
        return ("no-such-word", "[possible values: ");
    }
    let row = BAD.iter().find(|row| row.0 == name(arg));
    let (_, value, words) =
        row.unwrap_or_else(|| panic!("{} has no row in BAD: give it a bad value", name(arg)));
    (value, words)
}

/// An argument with a value, as it is written, behind what must stand in front of it.
fn written(arg: &Arg, value: &str) -> Vec<String> {
    let (company, value) = match value.split_once(' ') {
        Some((flag, value)) if flag.starts_with("--") => (Some(flag), value),
        _ => (None, value),
    };
    let word = arg.get_long().map_or_else(|| value.to_owned(), |long| format!("--{long}={value}"));
    let company = company.or(arg.is_last_set().then_some("--"));
    company.map(str::to_owned).into_iter().chain([word]).collect()
}

/// The places of a command, filled so that nothing is missing but a good value of `arg`; `result`
/// is a file with one. A flag comes behind them.
fn line(command: &clap::Command, arg: &Arg, value: &str, result: &str) -> Vec<String> {
    let mut line = Vec::new();
    for place in command.get_positionals() {
        let word = place.get_possible_values().first().map(|word| word.get_name().to_owned());
        // A document is made of one result; adding up and comparing take two.
        let files = if command.get_name() == "report" { 1 } else { 2 };
        let good = word.map_or_else(|| vec![result.to_owned(); files], |word| vec![word]);
        if place.get_id() == arg.get_id() {
            line.extend(written(arg, value));
            line.extend(good.into_iter().skip(1).filter(|_| place.is_required_set()));
        } else if place.is_required_set() {
            line.extend(good);
        }
    }
    if arg.get_long().is_some() {
        line.extend(written(arg, value));
    }
    line
}

/// A result, in a directory of this process's own.
fn result(dir: &std::path::Path) -> String {
    let file = dir.join("result.json").to_str().unwrap().to_owned();
    let line = "-c 1 -R 100 -d 100ms --warmup 0s --drain 100ms --quiet --no-pin --json";
    let output = loadgen(&[words(line), vec![file.clone()]].concat());
    assert!(matches!(output.status.code(), Some(0 | 4)), "{output:?}");
    file
}

/// Every flag of every command, so that a new one without a row fails.
#[test]
fn each_flag_refuses_a_bad_value() {
    let root = Cli::command();
    let dir = std::env::temp_dir().join(format!("loadgen-bad-{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    let result = result(&dir);
    let mut flags = 0;
    for command in std::iter::once(&root).chain(root.get_subcommands()) {
        let word = (command.get_name() != root.get_name()).then(|| command.get_name().to_owned());
        for arg in command.get_arguments() {
            let (value, words) = bad(arg);
            let line = line(command, arg, value, &result);
            let line: Vec<String> = word.iter().cloned().chain(line).collect();
            let said = said(&line, if words == NO_FILE { 1 } else { USAGE });
            let first = said.lines().next().unwrap();
            assert!(first.contains("error: "), "{line:?}: {said}");
            // clap puts the words that are possible on a line of their own.
            let place = if words.starts_with('[') { said.as_str() } else { first };
            assert!(place.contains(words), "{line:?}: '{words}' is not in: {said}");
            let named = first.contains(&value.escape_debug().to_string());
            assert!(named || first.contains(&format!("--{}", name(arg))), "{line:?}: {first}");
            flags += 1;
        }
    }
    assert!(flags > 80, "only {flags} flags were found: the walk is broken");
    std::fs::remove_dir_all(&dir).unwrap();
}

/// A row whose flag is gone tests nothing.
#[test]
fn each_row_has_its_flag() {
    let root = Cli::command();
    let commands = || std::iter::once(&root).chain(root.get_subcommands());
    for (row, ..) in BAD {
        let known = commands().flat_map(clap::Command::get_arguments).any(|arg| name(arg) == *row);
        assert!(known, "no command has '{row}'");
    }
}

fn words(line: &str) -> Vec<String> {
    line.split_ascii_whitespace().map(str::to_owned).collect()
}

fn run_against(address: SocketAddr, more: &str) -> Vec<String> {
    words(&format!("ws://{address}/ -c 2 --timeout 1s -d 300ms --warmup 0s --drain 0s {more}"))
}

/// What a server answers instead of a 101, and the cause that is told. No connection: exit code 1.
#[test]
fn servers_that_do_not_upgrade() {
    let accept = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Accept: c3BlZWQgbGltaXQgaGVyZSBvaw==\r\n\r\n";
    let table: [(Answer, &str); 12] = [
        (Answer::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), "server answered 200"),
        (Answer::Bytes(b"HTTP/1.1 301 X\r\nLocation: /a\r\n\r\n"), "server answered 301"),
        (Answer::Bytes(b"HTTP/1.1 401 Unauthorized\r\n\r\n"), "server answered 401"),
        (Answer::Bytes(b"HTTP/1.1 404 Not Found\r\n\r\n"), "server answered 404"),
        (Answer::Bytes(b"HTTP/1.1 503 Busy\r\n\r\n"), "server answered 503"),
        (Answer::Bytes(b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\n\r\n"), "does not upgrade to"),
        (Answer::Bytes(accept), "Sec-WebSocket-Accept is not that of our key"),
        (Answer::Bytes(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "not an HTTP/1.1 head"),
        // A TLS alert: unexpected message.
        (Answer::Bytes(b"\x15\x03\x01\x00\x02\x02\x0a"), "not an HTTP/1.1 head"),
        (Answer::Bytes(&[b'x'; 10_000]), "not an HTTP/1.1 head"),
        (Answer::HangUp, "closed TCP before it answered the upgrade"),
        (Answer::Only(0), "no 101 in time"),
    ];
    for (answer, cause) in table {
        let address = raw::serve(answer);
        let said = said(&run_against(address, ""), 1);
        let error = said.lines().last().unwrap();
        assert!(error.starts_with("loadgen: error: no connection to ws://"), "{said}");
        assert!(error.contains(cause), "{cause}: {error}");
        assert!(error.contains(&address.to_string()), "{error}");
    }
}

/// What a server sends after a right 101 and may not. Every connection ends by it, so the run has
/// no figures: exit code 4, and the cause is counted.
#[test]
fn servers_that_break_the_protocol() {
    let table: [(&[u8], &str); 6] = [
        (&[0x82, 0x80, 1, 2, 3, 4], "server frame masked"),
        (&[0xc2, 0x01, b'x'], "reserved bits set"),
        (&[0x83, 0x00], "reserved opcode 0x3"),
        (&[0x81, 0x01, 0xff], "text is not valid UTF-8"),
        (&[0x80, 0x00], "continuation frame without"),
        (&[0x89, 0x7e, 0x00, 0x7e], "control frame longer than 125"),
    ];
    for (bytes, cause) in table {
        let bytes: &'static [u8] = bytes.to_vec().leak();
        let address = raw::serve(Answer::Then(bytes));
        let output = loadgen(&run_against(address, "-R 20"));
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(4), "{bytes:x?}: {said}");
        let error = said.lines().find(|line| line.contains("the server broke the protocol: "));
        let error = error.unwrap_or_else(|| panic!("{bytes:x?}: {said}"));
        assert!(error.contains("2 x closed early: ") && error.contains(cause), "{cause}: {error}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_name_that_does_not_resolve() {
    let said = said(&words("ws://no-such-host.invalid/ -c 2"), 1);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("error: the name 'no-such-host.invalid' does not resolve"), "{said}");
}

/// A host that takes no SYN, as one does that is down or behind a filter: here a backlog that is
/// full.
#[test]
fn a_host_that_does_not_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let mut callers = Vec::new();
    while let Ok(caller) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        callers.push(caller);
        assert!(callers.len() < 100, "a backlog of 0 takes no hundred");
    }
    let said = said(&run_against(address, ""), 1);
    let error = said.lines().last().unwrap();
    assert!(error.contains("no answer in time: the host is down, filtered"), "{error}");
}

#[test]
fn a_server_with_tls_is_not_served_yet() {
    let said = said(&words("wss://127.0.0.1/"), USAGE);
    let first = said.lines().next().unwrap();
    assert!(first.contains("'wss://127.0.0.1/': TLS is not yet served; use ws://"), "{first}");
}
