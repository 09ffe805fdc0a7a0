//! The binary as a shell sees it: exit codes, and what goes to which stream.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

use simd_json::prelude::*;

fn loadgen(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen")).args(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_bad_line_ends_with_2_and_nothing_on_standard_output() {
    let lines: [(&[&str], &str); 4] = [
        (&["--rate", "0"], "a rate must be above 0"),
        (&["--rate", "5", "--pipeline", "4"], "--pipeline with a rate"),
        (&["wss://127.0.0.1/"], "TLS is not yet served"),
        (&["--json", "/no/such/directory/result.json"], "it cannot be written"),
    ];
    for (line, said) in lines {
        let output = loadgen(line);
        assert_eq!(output.status.code(), Some(2), "{line:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{line:?}");
        assert!(stderr(&output).contains(said), "{line:?}: {}", stderr(&output));
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for flag in ["--help", "-h", "--version"] {
        let output = loadgen(&[flag]);
        assert_eq!(output.status.code(), Some(0), "{flag}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{flag}");
    }
}

#[test]
fn a_server_that_is_not_there_ends_with_1() {
    // A port that was free a moment ago; nobody listens on it.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("ws://127.0.0.1:{port}/");
    let output = loadgen(&[&url, "-c", "2", "-d", "1s", "--warmup", "0s", "--drain", "0s"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = stderr(&output);
    assert!(said.contains("error: ") && said.contains(&url), "{said}");
    assert!(!said.contains("os error"), "{said}");
}

#[test]
fn the_document_alone_goes_to_standard_output() {
    let rate = ["-c", "10", "-R", "100", "-d", "1s", "--warmup", "100ms", "--drain", "500ms"];
    let output = loadgen(&[&rate[..], &["--json", "-", "--verify"]].concat());
    // A busy machine may make the run invalid, which is said by 4 and changes no stream.
    assert!(matches!(output.status.code(), Some(0 | 4)), "{output:?}");
    let mut document = output.stdout.clone();
    let document = simd_json::to_borrowed_value(&mut document).unwrap();
    assert_eq!(document["schema"], "plimsoll.loadgen/1");
    assert_eq!(document["connections"]["established"], 10_u64);
    assert_eq!(document["integrity"]["corrupt"], 0_u64);
    assert_eq!(document["messages"]["sent"], document["messages"]["received"]);
    assert!(stderr(&output).contains("server runs inside") && stderr(&output).contains("verdict"));

    let output = loadgen(&[&rate[..], &["--quiet"]].concat());
    assert!(output.stdout.is_empty(), "{output:?}");
}

/// An objective decides the exit code and stands in the document.
#[test]
fn an_objective_that_is_not_kept_ends_with_3() {
    let rate = ["-c", "4", "-R", "50", "-d", "1s", "--warmup", "0s", "--drain", "500ms"];
    let slo = ["--slo", "response.max<1ns,errors<1%", "--json", "-"];
    let output = loadgen(&[&rate[..], &slo].concat());
    assert!(matches!(output.status.code(), Some(3 | 4)), "{output:?}");
    assert!(stderr(&output).contains("\u{2717} response.max<1ns: "), "{}", stderr(&output));
    let mut document = output.stdout.clone();
    let document = simd_json::to_borrowed_value(&mut document).unwrap();
    assert_eq!(document["slo"][0]["passed"], false);
    assert_eq!(document["slo"][1]["passed"], true);
    assert_eq!(document["slo"][1]["clause"], "errors<1%");
}

/// The answer of a search: the document names it, the exit code says that there is one.
#[test]
fn a_search_has_an_answer() {
    let line = "find rate -c 4 -R 100 --max 200 --step 300ms --warmup 0s --drain 100ms --json - \
                --slo response.p99<10s --no-pin";
    let output = loadgen(&line.split_ascii_whitespace().collect::<Vec<_>>());
    let mut document = output.stdout.clone();
    let document = simd_json::to_borrowed_value(&mut document).unwrap();
    let find = &document["find"];
    assert_eq!(find["axis"], "rate");
    assert!(find["curve"].as_array().is_some_and(|curve| curve.len() >= 2), "{find}");
    // A busy machine may let nothing pass; that is an answer too, with its own exit code.
    let passing = !find["highest_passing"].is_null();
    assert_eq!(output.status.code(), Some(if passing { 0 } else { 3 }), "{}", stderr(&output));
    assert_eq!(find["lowest_failing"].is_null(), find["gave_way"].is_null());
    assert!(stderr(&output).contains("passes") || stderr(&output).contains("pass, the most"));
}

/// Every document of one run tells of the same replies.
#[test]
fn documents_agree() {
    let dir = std::env::temp_dir().join(format!("loadgen-documents-{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (json, csv, hlog, hgrm) = (path("a.json"), path("a.csv"), path("a.hlog"), path("a.hgrm"));
    let line = ["-c", "4", "-R", "200", "-d", "2s", "--warmup", "0s", "--quiet"];
    let files = ["--json", &json, "--csv", &csv, "--hlog", &hlog, "--hgrm", &hgrm];
    let output = loadgen(&[&line[..], &files].concat());
    assert!(matches!(output.status.code(), Some(0 | 4)), "{output:?}");
    let read = |path| std::fs::read_to_string(path).unwrap();
    let mut document = read(&json).into_bytes();
    let document = simd_json::to_borrowed_value(&mut document).unwrap();
    let received = document["messages"]["received"].as_u64().unwrap();
    assert_eq!(document["latency"]["response"]["count"], received);
    let rows = read(&csv);
    let rows: Vec<Vec<&str>> = rows.lines().map(|line| line.split(',').collect()).collect();
    let counts = rows.iter().filter(|row| row[3] == "response").map(|row| row[4].parse::<u64>());
    assert_eq!(counts.map(Result::unwrap).sum::<u64>(), received);
    assert!(rows.iter().any(|row| row[..4] == ["1", "1", "measure", "response"]), "{rows:?}");
    let log = read(&hlog);
    let seconds = log.lines().filter(|line| line.starts_with("Tag=response,"));
    assert_eq!(seconds.count(), 2, "{log}");
    assert!(log.lines().any(|line| line.starts_with("Tag=connect,")), "{log}");
    let total = format!("Total count    = {received:>12}]");
    assert!(read(&hgrm).contains(&total), "{}", read(&hgrm));
    std::fs::remove_dir_all(&dir).unwrap();
}
