//! Holds the house in shape: floors, sizes, bans. Style is kept by this test, not by nagging.
//!
//! Every rule is first shown a planted sin, so that a rule which can no longer fail is noticed.

#[path = "tidy/lex.rs"]
mod lex;
#[path = "tidy/rules.rs"]
mod rules;

use rules::{Finding, Rule, check};
use std::fs;
use std::path::{Path, PathBuf};

/// What was built or found, not written. In a linked work tree `.git` is a file.
const SKIPPED: [&str; 6] = ["target", "corpus", "artifacts", "coverage", "node_modules", ".git"];

/// Every file below `top` that a person wrote, hidden directories other than `.ci` left out.
fn written_files(top: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![top.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("a directory of the house is readable") {
            let entry = entry.expect("an entry of the house is readable");
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let kind = entry.file_type().expect("an entry has a type");
            let hidden_dir = name.starts_with('.') && name != ".ci" && name != ".cargo";
            if SKIPPED.contains(&name.as_ref()) {
                continue;
            }
            if kind.is_dir() && !hidden_dir {
                open.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// Findings in all of the house below `top`, and how many files were read. What is not UTF-8 is
/// not text that a rule could read.
fn inspect(top: &Path) -> (Vec<Finding>, usize) {
    let mut findings = Vec::new();
    let mut read = 0;
    for path in written_files(top) {
        let name = path.strip_prefix(top).expect("walked from the top").to_string_lossy();
        let Ok(text) = String::from_utf8(fs::read(&path).expect("a file is readable")) else {
            continue;
        };
        read += 1;
        findings.extend(check(&name, &text));
    }
    (findings, read)
}

#[test]
fn the_house_is_tidy() {
    let (findings, read) = inspect(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(read > 20, "only {read} files were found: the walk is broken");
    let list: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(list.is_empty(), "{} findings:\n{}", list.len(), list.join("\n"));
}

/// A file that breaks one rule, and the line where.
fn sin(path: &str, text: &str) -> (String, String) {
    (path.to_owned(), format!("//! Doc.\n{text}"))
}

fn sins() -> Vec<(Rule, usize, (String, String))> {
    let unfinished = concat!("// TO", "DO: later");
    let long_function = format!("fn f() {{\n{}}}\n", "    let x = \"}\";\n".repeat(69));
    let long_doc = format!("/// {}", "é".repeat(97));
    vec![
        (Rule::Floor, 2, sin("src/wire/frame.rs", "use crate::conn::Conn;")),
        (Rule::Floor, 2, sin("src/wire/close.rs", "use crate::{wire::frame, shard};")),
        (Rule::Floor, 2, sin("src/wire/mod.rs", "fn f() -> super::server::Server {}")),
        (Rule::Floor, 2, sin("src/conn/side.rs", "use super::super::hub::Hub;")),
        (Rule::Floor, 3, sin("src/conn/side.rs", "mod m {\nuse super::super::super::shard; }")),
        (Rule::Floor, 2, sin("src/shard/net.rs", "pub use crate::hub::*;")),
        (Rule::Floor, 2, sin("src/hub/mod.rs", "use crate::control::admin;")),
        (Rule::Floor, 2, sin("src/control/mod.rs", "use crate::hub::rooms;")),
        (Rule::Floor, 2, sin("src/limits.rs", "use crate::wire::frame;")),
        (Rule::Floor, 2, sin("src/limits.rs", "use crate::config::Config;")),
        (Rule::Floor, 2, sin("src/config.rs", "use crate::shard::Shard;")),
        (Rule::Floor, 2, sin("src/conn/mod.rs", "use crate::limits;")),
        (Rule::Floor, 2, sin("src/auth/mod.rs", "use crate::hub::Hub;")),
        (Rule::Floor, 2, sin("src/auth/token.rs", "use crate::limits;")),
        (Rule::Floor, 2, sin("src/calls.rs", "use crate::shard::Post;")),
        (Rule::Purity, 2, sin("src/auth/key.rs", "use std::fs;")),
        (Rule::Purity, 2, sin("src/auth/mod.rs", "fn f() { std::time::SystemTime::now(); }")),
        (Rule::Plan, 1, sin("src/helpers.rs", "")),
        (Rule::Plan, 1, sin("src/util/mod.rs", "")),
        (Rule::Purity, 2, sin("src/wire/frame.rs", "use std::{fmt, io};")),
        (Rule::Purity, 2, sin("src/conn/mod.rs", "use std::net::SocketAddr;")),
        (Rule::Purity, 2, sin("src/conn/mod.rs", "use mio::Token;")),
        (Rule::Purity, 2, sin("src/conn/mod.rs", "fn f(s: &socket2::Socket) {}")),
        (Rule::Purity, 2, sin("src/conn/mod.rs", "fn f() { tokio::spawn(g()); }")),
        (Rule::Purity, 2, sin("src/conn/mod.rs", "fn f() { let t = Instant::now(); }")),
        (Rule::Purity, 2, sin("src/conn/mod.rs", "fn f() { std::time::SystemTime::now(); }")),
        (Rule::Purity, 2, sin("src/wire/close.rs", "use std::time::Duration;")),
        (Rule::Unsafe, 2, sin("src/wire/mask.rs", "fn f() { unsafe { g() } }")),
        (Rule::Unsafe, 2, sin("src/shard/net.rs", "#![allow(unsafe_code)]")),
        (Rule::Unsafe, 2, sin("tests/loopback.rs", "unsafe fn f() {}")),
        (Rule::Unsafe, 2, sin("loadgen/src/main.rs", "unsafe impl Send for X {}")),
        (Rule::FileSize, 401, sin("src/hub/mod.rs", &"\n".repeat(400))),
        (Rule::FunctionSize, 2, sin("src/hub/mod.rs", &long_function)),
        (Rule::FunctionSize, 2, sin("loadgen/src/cli.rs", &long_function)),
        (Rule::Columns, 2, sin("benches/mask.rs", &long_doc)),
        (Rule::Unfinished, 2, sin("src/hub/mod.rs", unfinished)),
        (Rule::Unfinished, 2, sin("src/hub/mod.rs", "fn f() { todo!() }")),
        (Rule::Unfinished, 2, sin("tests/loopback.rs", "fn f() { dbg!(1); }")),
        (Rule::Ignored, 2, sin("tests/loopback.rs", "#[ignore]\nfn f() {}")),
        (Rule::Ignored, 2, sin("tests/loopback.rs", "#[ignore = \"\"]\nfn f() {}")),
        (Rule::Ignored, 2, sin("tests/loopback.rs", "#[cfg_attr(miri, ignore)]\nfn f() {}")),
        (Rule::ModuleDoc, 1, ("src/conn/mod.rs".into(), "use std::fmt;".into())),
        (Rule::ModuleDoc, 1, ("src/conn/mod.rs".into(), "//!\nuse std::fmt;".into())),
        (Rule::MachinePath, 2, sin("docs/x.md", concat!("see /wo", "rk/main/src"))),
        (Rule::MachinePath, 1, ("scripts/x".into(), concat!("cd /tmp/", "wt/x").into())),
        (Rule::MachinePath, 1, ("scripts/x".into(), concat!("A=/ro", "ot/.cargo").into())),
        (Rule::CrateSource, 1, ("Cargo.lock".into(), "source = \"registry+https://x/\"".into())),
    ]
}

#[test]
fn each_planted_sin_is_found_once_at_its_line() {
    for (rule, line, (path, text)) in sins() {
        let found = check(&path, &text);
        let places: Vec<(Rule, usize)> = found.iter().map(|f| (f.rule, f.line)).collect();
        assert_eq!(places, [(rule, line)], "{path}:\n{text}");
    }
}

#[test]
fn each_rule_has_a_planted_sin() {
    let planted = sins();
    for rule in Rule::ALL {
        assert!(planted.iter().any(|(sin, ..)| *sin == rule), "{rule:?} is never shown to fail");
    }
}

#[test]
fn what_is_allowed_is_not_found() {
    let at_limit = format!("fn f() {{\n{}}}\n", "    g(b'{');\n".repeat(68));
    let tests_are_free = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(500));
    let allowed = [
        sin("src/wire/frame.rs", "// crate::conn, unsafe, std::io and mio::Poll in a comment"),
        sin("src/wire/frame.rs", "const A: &str = \"use crate::conn; unsafe {\";"),
        sin("src/wire/frame.rs", "const A: &str = r#\"\"todo!()\" unsafe\"#;"),
        sin("src/wire/frame.rs", "/* outer /* unsafe */ std::io::Read */ const A: char = '\"';"),
        sin("src/wire/frame.rs", "fn f<'a>(x: &'a str) -> &'a str { x } // unsafe"),
        sin(
            "src/wire/frame.rs",
            "#[cfg(test)]\nmod t { use std::io::Read; use super::super::mask; }",
        ),
        ("src/conn/tests.rs".into(), "use super::*;".into()),
        sin("src/wire/mask/avx2.rs", "fn f() { unsafe { g() } }"),
        sin("src/wire/mask/avx2.rs", "use super::super::utf8;\nuse super::scalar;"),
        sin("src/shard/os.rs", "#![allow(unsafe_code)]\nfn f() { unsafe { g() } }"),
        sin("src/conn/mod.rs", "use std::time::{Duration, Instant};\nuse crate::wire::frame;"),
        sin("src/conn/mod.rs", "#[cfg(test)]\nmod tests { use crate::limits; }"),
        sin("src/shard/mod.rs", "use crate::{config::Config, conn::Conn, limits, wire};"),
        sin("src/config.rs", "use super::limits;\nuse std::net::SocketAddr;"),
        sin("src/server.rs", "use crate::{control, hub, shard};"),
        sin("src/main.rs", "use plimsoll::{config, server};"),
        sin("src/hub/mod.rs", &at_limit),
        sin("src/hub/mod.rs", &tests_are_free),
        sin("src/hub/mod.rs", &"\n".repeat(399)),
        sin("src/hub/mod.rs", &format!("/// {}", "é".repeat(96))),
        sin("tests/loopback.rs", "#[ignore = \"holds 20,000 sockets\"]\nfn f() {}"),
        sin("scripts/x", "see https://example.org/wo\u{72}k/x and \"$root/ro\u{6f}t/x\""),
    ];
    for (path, text) in allowed {
        assert_eq!(check(&path, &text), [], "{path}:\n{text}");
    }
}

#[test]
fn a_sin_on_disk_is_found_and_what_was_built_is_not() {
    let top = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tidy");
    let sinner = "//! Doc.\nuse crate::shard;\n";
    for dir in ["src/wire", "target/debug", ".ci", ".idea"] {
        fs::create_dir_all(top.join(dir)).expect("a scratch directory");
        fs::write(top.join(dir).join("sinner.rs"), sinner).expect("a scratch file");
    }
    fs::write(top.join(".ci/run"), concat!("cd /ro", "ot/x\n")).expect("a scratch file");
    fs::write(top.join("picture"), [0xff, 0xfe]).expect("a scratch file");
    let (findings, read) = inspect(&top);
    let found: Vec<String> =
        findings.iter().map(|f| format!("{}:{} {:?}", f.path, f.line, f.rule)).collect();
    assert_eq!(found, [".ci/run:1 MachinePath", "src/wire/sinner.rs:2 Floor"]);
    assert_eq!(read, 3);
    let printed = findings[1].to_string();
    assert!(
        printed.starts_with("src/wire/sinner.rs:2: `wire` names `shard` (imports"),
        "{printed}"
    );
}
