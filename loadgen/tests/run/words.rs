//! Messages of the user's own, over real sockets: what is sent, and how replies are paired then.

use std::ffi::OsString;
use std::path::PathBuf;

use loadgen::cli::Cli;
use loadgen::measure::{Kind, Outcome};
use loadgen::run::run;

use crate::count;
use crate::server::{Manner, Server};

/// One run; the last words are one argument each.
fn go(server: &Server, line: &str, words: &[&str]) -> Outcome {
    let line = format!("loadgen --quiet --no-pin ws://{}/ {line}", server.address);
    let line = line.split_ascii_whitespace().map(OsString::from);
    let all = line.chain(words.iter().map(OsString::from));
    run(&Cli::read(all).unwrap().args.plan().unwrap()).unwrap()
}

/// A file of messages that is gone when the test is.
struct Lines(PathBuf);

impl Lines {
    fn new(name: &str, text: &str) -> Self {
        let file = format!("loadgen-run-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(file);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const LINE: &str = "-c 4 -R 400 -d 500ms --warmup 100ms --heartbeat off --verify";
const CHAT: &str =
    r#"{"from":"user {connection}","n":{sequence},"at":{time},"id":"{stamp}","text":"{data}"}"#;

/// All placeholders at once: every reply is compared byte for byte.
#[test]
fn words_come_back_as_they_were_sent() {
    let lines = Lines::new("echo", "PLEASE\nthr\u{e9}e words here\n\n");
    let server = Server::start(Manner::Echo);
    for order in ["round-robin", "random"] {
        let line = format!("{LINE} --fragments 3 --data-order {order}");
        let words = ["--message", CHAT, "--data", lines.path()];
        let outcome = go(&server, &line, &words);
        let tally = &outcome.tally;
        assert_eq!((tally.due, tally.received, tally.verified), (200, 200, 200), "{order}");
        assert_eq!((tally.corrupt, tally.strays), (0, 0), "{order}");
        assert!(outcome.notes.iter().all(|note| !note.contains("first in")), "{:?}", outcome.notes);
    }
}

/// With a stamp a reply is found by it, whatever the server makes of the message, and what is lost
/// or doubled is told by number. Without, it is first in, first out, which the report says.
#[test]
fn replies_are_paired_by_the_stamp() {
    let words = ["--message", CHAT.split(",\"text\"").next().unwrap()];
    let tenth = |manner| go(&Server::start(manner), LINE, &words).tally;
    let lost = tenth(Manner::Swallow);
    assert!(lost.unanswered >= 15 && lost.corrupt == 0, "{lost:?}");
    assert_eq!(lost.verified, lost.received);
    let doubled = tenth(Manner::Twice);
    assert!((doubled.verified, doubled.corrupt) == (200, 0) && doubled.duplicate >= 15);
    let wrapped = go(&Server::start(Manner::Wrap), LINE, &words);
    assert_eq!((wrapped.tally.received, wrapped.tally.strays), (200, 0));
    assert_eq!((wrapped.tally.corrupt, wrapped.tally.verified), (200, 0), "it is no echo");
    assert_eq!(count(&wrapped, Kind::Response), 200);
    let blind = go(&Server::start(Manner::Swallow), LINE, &["--message", "n {sequence}"]);
    assert!(blind.tally.corrupt > 0, "after a loss the wrong ones are paired");
    let note = "messages without {stamp} carry no number: replies are paired first in, first out";
    assert!(blind.notes.iter().any(|line| line == note), "{:?}", blind.notes);
}

/// Of three lines in turn the server changes one: a third of the replies, exactly.
#[test]
fn each_connection_goes_through_the_lines() {
    let lines = Lines::new("turns", "one\ntwo\nthree\n");
    let server = Server::start(Manner::Reply("two", "2"));
    let words = ["--data", lines.path()];
    let line = "-c 3 -R 300 -d 1s --warmup 0ms --heartbeat off --verify";
    let tally = go(&server, line, &words).tally;
    assert_eq!((tally.received, tally.corrupt, tally.verified), (300, 100, 200));
    let random = go(&server, &format!("{line} --data-order random"), &words).tally;
    // Five deviations of 300 draws.
    assert!((60..=140).contains(&random.corrupt) && random.received == 300, "{random:?}");
}

/// Publications of the user's own: each member hears each of them once.
#[test]
fn rooms_hear_words() {
    let line = "loadgen --quiet --no-pin --mode broadcast --publishers 2 --subscribers 8 -R 100 \
                -d 500ms --warmup 100ms --drain 1s --verify --message";
    let words = line.split_ascii_whitespace().map(OsString::from);
    let words = words.chain([r#"{"p":{sequence},"t":{time},"s":"{stamp}"}"#.into()]);
    let outcome = run(&Cli::read(words).unwrap().args.plan().unwrap()).unwrap();
    let rooms = outcome.tally.broadcast.as_ref().unwrap();
    assert_eq!((rooms.expected, rooms.received, rooms.duplicate), (500, 500, 0));
    assert_eq!((outcome.tally.verified, outcome.tally.corrupt), (500, 0));
}
