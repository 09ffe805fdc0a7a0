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
/// words of a list or no value at all need no row.
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
    ("ramp", "0", "a rate must be above 0"),
    ("warmup", "soon", "not a duration"),
    ("drain", "1y", "over the limit of 7 days"),
    ("timeout", "0s", "must be above 0"),
    ("seed", "x", "invalid digit"),
    ("heartbeat", "0s", "must be above 0; write off for none"),
    ("size", "10..5", "the range is upside down"),
    ("fragments", "0", "must be at least 1"),
    ("fragment-gap", "5", "not a duration"),
    ("source-ip", "here", "'here' is not an IP address"),
    ("header", "no colon", "write -H 'NAME: VALUE'"),
    ("subprotocol", "a, b", "a subprotocol is a token"),
    ("origin", "a\u{7f}b", "drop control characters"),
    ("slo", "response.p99", "write FIGURE<BOUND"),
    ("server-pid", "0", "no process has that id"),
    ("server-threads", "0", "write auto, or a number of threads"),
    ("json", "/no/such/directory/a", "name a file in a directory that can"),
    ("csv", "/no/such/directory/a", "name a file in a directory that can"),
    ("hgrm", "/no/such/directory/a", "name a file in a directory that can"),
    ("hlog", "/no/such/directory/a", "name a file in a directory that can"),
    ("step", "0s", "must be above 0"),
    ("tolerance", "0", "write a share from 0.1% to 100%"),
    ("max", "0", "a rate must be above 0"),
];

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

/// An argument with a value, as it is written.
fn written(arg: &Arg, value: &str) -> String {
    arg.get_long().map_or_else(|| value.to_owned(), |long| format!("--{long}={value}"))
}

/// What must stand before a bad value so that nothing is missing but a good one.
fn needed(command: &clap::Command, but: &Arg) -> Vec<String> {
    let required = command.get_arguments().filter(|arg| {
        arg.is_required_set() && arg.get_id() != but.get_id() && arg.get_long().is_none()
    });
    let any = |arg: &Arg| match arg.get_possible_values().first() {
        Some(word) => word.get_name().to_owned(),
        None => bad(arg).0.to_owned(),
    };
    required.map(any).collect()
}

/// Every flag of every command, so that a new one without a row fails.
#[test]
fn each_flag_refuses_a_bad_value() {
    let root = Cli::command();
    let mut flags = 0;
    for command in std::iter::once(&root).chain(root.get_subcommands()) {
        let word = (command.get_name() != root.get_name()).then(|| command.get_name().to_owned());
        for arg in command.get_arguments() {
            let (value, words) = bad(arg);
            let mut line: Vec<String> = word.iter().cloned().collect();
            line.extend(needed(command, arg));
            line.push(written(arg, value));
            let said = said(&line, USAGE);
            let first = said.lines().next().unwrap();
            assert!(first.contains("error: "), "{line:?}: {said}");
            // clap puts the words that are possible on a line of their own.
            let place = if words.starts_with('[') { said.as_str() } else { first };
            assert!(place.contains(words), "{line:?}: '{words}' is not in: {said}");
            assert!(first.contains(&value.escape_debug().to_string()), "{line:?}: {first}");
            flags += 1;
        }
    }
    assert!(flags > 80, "only {flags} flags were found: the walk is broken");
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
