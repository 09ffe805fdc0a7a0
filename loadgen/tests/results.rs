//! Results of earlier runs, as a shell uses them: rendered, added and compared again.

#![allow(clippy::unwrap_used)]

#[path = "run/server.rs"]
mod server;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use server::{Manner, Server};
use simd_json::prelude::*;

fn loadgen(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen")).args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A directory of this test's own, removed at its end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("loadgen-{name}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// What was shown after the run is shown again, and every document is the same to the byte.
#[test]
fn a_run_is_rendered_again() {
    let dir = Dir::new("render");
    let (json, csv, hlog, hgrm) =
        (dir.path("a.json"), dir.path("a.csv"), dir.path("a.hlog"), dir.path("a.hgrm"));
    let files = ["--json", &json, "--csv", &csv, "--hlog", &hlog, "--hgrm", &hgrm];
    let run = "-c 4 -R 200 -d 2s --warmup 0s --no-pin --heartbeat 1s --slo response.p99<9s";
    let line: Vec<&str> = run.split(' ').chain(files).collect();
    let first = loadgen(&line);
    assert!(matches!(first.status.code(), Some(0 | 4)), "{first:?}");
    let (again, log, table) = (dir.path("b.csv"), dir.path("b.hlog"), dir.path("b.hgrm"));
    let files = ["--csv", &again, "--hlog", &log, "--hgrm", &table];
    let second = loadgen(&[&["report", json.as_str()][..], &files].concat());
    assert_eq!(second.status.code(), Some(0), "{second:?}");
    assert_eq!(stdout(&second), stdout(&first));
    for kind in ["csv", "hlog", "hgrm"] {
        let (a, b) = (dir.read(&format!("a.{kind}")), dir.read(&format!("b.{kind}")));
        assert_eq!(a, b, "{kind}");
    }
    // Two at once, each under its name; a document of two there is none.
    let both = loadgen(&["report", &json, &json]);
    assert_eq!(stdout(&both).matches("==> ").count(), 2);
    let refused = loadgen(&["report", &json, &json, "--csv", &again]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("a document is that of one result"), "{refused:?}");
}

#[test]
fn a_file_that_cannot_be_used_ends_with_1() {
    let dir = Dir::new("unusable");
    let path = dir.path("x.json");
    fs::write(&path, "{\"schema\": \"other/3\"}").unwrap();
    for line in [vec!["report", &path], vec!["compare", &path, &path], vec!["merge", &path, &path]]
    {
        let output = loadgen(&line);
        assert_eq!(output.status.code(), Some(1), "{line:?}: {output:?}");
        assert!(stderr(&output).contains("its schema is other/3"), "{output:?}");
    }
    for line in [vec!["compare", "a"], vec!["compare", "a", "b", "c"], vec!["merge", "a"]] {
        assert_eq!(loadgen(&line).status.code(), Some(2), "{line:?}");
    }
}

/// One run against itself is never worse; the same replies, each twice as long, are.
#[test]
fn a_comparison_has_an_exit_code() {
    let dir = Dir::new("compare");
    let json = dir.path("a.json");
    let line = "-c 4 -R 400 -d 6s --warmup 200ms --no-pin --heartbeat off --quiet --json";
    let line: Vec<&str> = line.split(' ').chain([json.as_str()]).collect();
    assert!(matches!(loadgen(&line).status.code(), Some(0 | 4)));
    let same = loadgen(&["compare", &json, &json, "--any-verdict", "--json"]);
    assert_eq!(same.status.code(), Some(0), "{same:?}");
    let mut document = same.stdout.clone();
    let document = simd_json::to_borrowed_value(&mut document).unwrap();
    assert_eq!(document["schema"], "plimsoll.compare/1");
    assert_eq!(document["finding"], "same");
    let rows = document["rows"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["metric"] == "response.p99" && row["ratio"] == 1.0));
    // Several on each side, in both ways of saying so.
    for line in [
        vec!["compare", &json, &json, "--any-verdict", "--", &json],
        vec!["compare", &json, "--any-verdict", "--baseline", &json, "--baseline", &json],
    ] {
        let output = loadgen(&line);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(stdout(&output).contains("B is not worse than A beyond noise"), "{output:?}");
    }
    let merged = loadgen(&["merge", &json, &json]);
    assert_eq!(merged.status.code(), Some(1));
    assert!(stderr(&merged).contains("a server of its own inside"), "{merged:?}");
}

/// Of a server that answers 2,000 messages a second, 4 in flight wait 2 ms and 128 wait 64.
#[test]
fn a_slower_run_is_worse() {
    let dir = Dir::new("worse");
    let (fast, slow) = (dir.path("fast.json"), dir.path("slow.json"));
    let server = Server::start(Manner::Cap(2000, Duration::ZERO));
    for (path, in_flight) in [(&fast, 1), (&slow, 32)] {
        let line = format!(
            "ws://{}/ -c 4 --pipeline {in_flight} -d 8s --warmup 500ms --no-pin --heartbeat off \
             --quiet --json {path}",
            server.address
        );
        let output = loadgen(&line.split_ascii_whitespace().collect::<Vec<_>>());
        assert!(matches!(output.status.code(), Some(0 | 4)), "{output:?}");
    }
    let decided = ["--metric", "response.p50", "--any-verdict"];
    let worse = loadgen(&[&["compare", fast.as_str(), slow.as_str()][..], &decided].concat());
    assert_eq!(worse.status.code(), Some(5), "{worse:?}");
    assert!(stdout(&worse).contains("B is worse than A by response.p50"), "{worse:?}");
    assert!(stdout(&worse).contains("plan.pace.closed.in_flight is 32, not 1"), "{worse:?}");
    let better = loadgen(&[&["compare", slow.as_str(), fast.as_str()][..], &decided].concat());
    assert_eq!(better.status.code(), Some(0), "{better:?}");
}
