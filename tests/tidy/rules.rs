//! The house rules, each as a function from one file's path and text to its findings.

use crate::lex::{self, Path, Token};
use std::fmt;

/// Columns of a line of Rust at most, in characters.
const MAX_COLUMNS: usize = 100;
/// Lines of a file at most, `#[cfg(test)]` items not counted.
const MAX_FILE_LINES: usize = 400;
/// Lines of a function at most, from `fn` to its closing brace.
const MAX_FUNCTION_LINES: usize = 70;
/// The only source of crates: a lock file that names another was made on one machine for itself.
const CRATE_SOURCE: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Where a module of the library stands. Imports point down only; equals never meet.
const FLOORS: [(&str, u8); 8] = [
    ("wire", 0),
    ("auth", 0),
    ("calls", 0),
    ("conn", 1),
    ("shard", 2),
    ("hub", 3),
    ("control", 3),
    ("server", 4),
];
/// What every floor from the shard up may ask, and what asks nothing but one another downwards.
const LEAVES: [&str; 2] = ["config", "limits"];

/// What the protocol floors may not name: they have no sockets, files, threads or runtime.
const NO_IO: [&[&str]; 10] = [
    &["mio"],
    &["socket2"],
    &["tokio"],
    &["rustix"],
    &["std", "io"],
    &["std", "net"],
    &["core", "net"],
    &["std", "fs"],
    &["std", "thread"],
    &["crossbeam"],
];

/// A rule of the house; its text is what a finding prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Floor,
    Plan,
    Purity,
    Unsafe,
    FileSize,
    FunctionSize,
    Columns,
    Unfinished,
    Ignored,
    ModuleDoc,
    MachinePath,
    CrateSource,
}

impl Rule {
    pub(crate) const ALL: [Self; 12] = [
        Self::Floor,
        Self::Plan,
        Self::Purity,
        Self::Unsafe,
        Self::FileSize,
        Self::FunctionSize,
        Self::Columns,
        Self::Unfinished,
        Self::Ignored,
        Self::ModuleDoc,
        Self::MachinePath,
        Self::CrateSource,
    ];

    fn text(self) -> &'static str {
        match self {
            Self::Floor => {
                "imports point down only: wire < conn < shard < hub, control < server; \
                 config and limits are leaves that wire and conn never see"
            }
            Self::Plan => "a module of src/ has a floor: name it in src/lib.rs and in tests/tidy",
            Self::Purity => "wire, conn, auth and calls have no sockets, files, threads or clock",
            Self::Unsafe => "unsafe stands in src/wire/mask/ and src/shard/os.rs only",
            Self::FileSize => "a file has 400 lines at most without its tests: split it by noun",
            Self::FunctionSize => "a function has 70 lines at most",
            Self::Columns => "a line has 100 columns at most",
            Self::Unfinished => "nothing is left to be done: finish it or open an issue",
            Self::Ignored => "an ignored test says why: #[ignore = \"reason\"]",
            Self::ModuleDoc => "a file starts with //! and what it is for",
            Self::MachinePath => "no file names a path of one machine",
            Self::CrateSource => {
                "crates come from crates.io: make Cargo.lock again without a mirror"
            }
        }
    }
}

/// One place where a rule is broken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) rule: Rule,
    pub(crate) what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} ({})", self.path, self.line, self.what, self.rule.text())
    }
}

/// All findings in `text`, which stands at `path` below the top of the house.
pub(crate) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut out = Findings { path, found: Vec::new() };
    machine_paths(text, &mut out);
    if path.ends_with("Cargo.lock") {
        crate_sources(text, &mut out);
    }
    if path.rsplit_once('.').is_some_and(|(_, extension)| extension == "rs") {
        source(path, text, &mut out);
    }
    out.found
}

struct Findings<'a> {
    path: &'a str,
    found: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, line: usize, rule: Rule, what: impl Into<String>) {
        self.found.push(Finding { path: self.path.to_owned(), line, rule, what: what.into() });
    }
}

fn source(path: &str, text: &str, out: &mut Findings<'_>) {
    let tokens = lex::tokens(text);
    let paths = lex::paths(&tokens);
    let tests = if is_test_file(path) { vec![(1, usize::MAX)] } else { test_lines(&tokens) };
    let in_tests = |line: usize| tests.iter().any(|&(from, to)| (from..=to).contains(&line));

    module_doc(path, text, out);
    columns(text, out);
    unfinished(text, &tokens, out);
    ignored(&tokens, out);
    unsafe_code(path, &tokens, out);
    sizes(text, &tokens, in_tests, out);
    if let Some(module) = module_path(path) {
        floors(&module, &paths, in_tests, out);
        purity(&module, &paths, in_tests, out);
    }
}

/// Integration tests, and test modules in files of their own.
fn is_test_file(path: &str) -> bool {
    let inside = |dir: &str| path.starts_with(dir) || path.contains(&format!("/{dir}"));
    inside("tests/") || path.ends_with("/tests.rs")
}

/// The module path of a file of the library, `lib.rs` and `main.rs` giving none.
fn module_path(path: &str) -> Option<Vec<&str>> {
    let inner = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let module: Vec<&str> = inner.strip_suffix("/mod").unwrap_or(inner).split('/').collect();
    (module != ["lib"] && module != ["main"]).then_some(module)
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|&&(name, _)| name == module).map(|&(_, floor)| floor)
}

/// The top-level module that `named` reaches into, seen from the file of `module`.
fn target<'a>(module: &[&'a str], named: &'a Path) -> Option<&'a str> {
    let first = named.segments.first()?;
    if first == "crate" || first == "plimsoll" {
        return named.segments.get(1).map(String::as_str);
    }
    let ups = named.segments.iter().take_while(|s| *s == "super").count();
    if ups == 0 {
        return None;
    }
    // `super` in an inline module is the file itself.
    let ups = ups.saturating_sub(named.inline_modules);
    if ups >= module.len() {
        let after = named.segments.iter().find(|s| *s != "super")?;
        return Some(after);
    }
    module.first().copied()
}

fn floors(
    module: &[&str],
    paths: &[Path],
    in_tests: impl Fn(usize) -> bool,
    out: &mut Findings<'_>,
) {
    let here = module[0];
    let leaf = LEAVES.contains(&here);
    if floor(here).is_none() && !leaf {
        out.add(1, Rule::Plan, format!("`{here}` is not in the plan"));
        return;
    }
    for named in paths {
        let Some(there) = target(module, named) else { continue };
        let allowed = if here == there || (here, there) == ("config", "limits") {
            true
        } else if LEAVES.contains(&there) {
            floor(here).is_some_and(|f| f >= 2) || (!leaf && in_tests(named.line))
        } else {
            // A name that is no module (a macro, a re-export) has no floor to break.
            floor(there).is_none_or(|below| floor(here).is_some_and(|f| f > below))
        };
        if !allowed {
            out.add(named.line, Rule::Floor, format!("`{here}` names `{there}`"));
        }
    }
}

fn purity(
    module: &[&str],
    paths: &[Path],
    in_tests: impl Fn(usize) -> bool,
    out: &mut Findings<'_>,
) {
    if !["wire", "conn", "auth", "calls"].contains(&module[0]) {
        return;
    }
    for named in paths.iter().filter(|p| !in_tests(p.line)) {
        let segments: Vec<&str> = named.segments.iter().map(String::as_str).collect();
        // One word alone is a variable: a crate is used through a path.
        let io = segments.len() > 1 && NO_IO.iter().any(|banned| segments.starts_with(banned));
        let clock = segments.ends_with(&["Instant", "now"])
            || segments.ends_with(&["SystemTime", "now"])
            || (module[0] == "wire" && segments.starts_with(&["std", "time"]));
        if io || clock {
            let what = format!("`{}` names `{}`", module[0], segments.join("::"));
            out.add(named.line, Rule::Purity, what);
        }
    }
}

fn unsafe_code(path: &str, tokens: &[Token], out: &mut Findings<'_>) {
    if path.starts_with("src/wire/mask/") || path == "src/shard/os.rs" {
        return;
    }
    for (at, token) in tokens.iter().enumerate() {
        let relaxes = token.word() == Some("unsafe_code")
            && at >= 2
            && ["allow", "expect", "warn"].iter().any(|l| tokens[at - 2].word() == Some(l));
        if token.word() == Some("unsafe") || relaxes {
            out.add(token.line, Rule::Unsafe, "unsafe code outside its files");
        }
    }
}

fn sizes(text: &str, tokens: &[Token], in_tests: impl Fn(usize) -> bool, out: &mut Findings<'_>) {
    let counted = (1..=text.lines().count()).filter(|&line| !in_tests(line));
    if let Some(past) = counted.clone().nth(MAX_FILE_LINES) {
        let what = format!("{} lines without tests", counted.count());
        out.add(past, Rule::FileSize, what);
    }
    for (at, token) in tokens.iter().enumerate() {
        let named = tokens.get(at + 1).and_then(Token::word);
        let (Some("fn"), Some(name), false) = (token.word(), named, in_tests(token.line)) else {
            continue;
        };
        let lines = item_end(tokens, at) + 1 - token.line;
        if lines > MAX_FUNCTION_LINES {
            out.add(token.line, Rule::FunctionSize, format!("`{name}` has {lines} lines"));
        }
    }
}

/// The last line of the item that starts at token `at`: its closing brace, or its semicolon.
fn item_end(tokens: &[Token], at: usize) -> usize {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for token in &tokens[at..] {
        match token.kind {
            lex::Kind::Punct('(' | '[') => brackets += 1,
            lex::Kind::Punct(')' | ']') => brackets = brackets.saturating_sub(1),
            lex::Kind::Punct('{') => braces += 1,
            lex::Kind::Punct('}') if braces <= 1 => return token.line,
            lex::Kind::Punct('}') => braces -= 1,
            lex::Kind::Punct(';') if braces == 0 && brackets == 0 => return token.line,
            _ => {}
        }
    }
    tokens.last().map_or(0, |t| t.line)
}

/// The line ranges of items under `#[cfg(test)]` and `#[cfg(all(test, ...))]`.
fn test_lines(tokens: &[Token]) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    for at in 0..tokens.len().saturating_sub(3) {
        let opens = tokens[at].is('#') && tokens[at + 1].is('[');
        if !opens || tokens[at + 2].word() != Some("cfg") {
            continue;
        }
        let end = at + tokens[at..].iter().take_while(|t| !t.is(']')).count();
        let words = || tokens[at + 3..end].iter().filter_map(Token::word);
        if words().any(|w| w == "test") && words().all(|w| w != "not" && w != "any") {
            ranges.push((tokens[at].line, item_end(tokens, end + 1)));
        }
    }
    ranges
}

/// A module of tests in a file of its own is documented by the module it tests.
fn module_doc(path: &str, text: &str, out: &mut Findings<'_>) {
    if !path.ends_with("/tests.rs") && !text.trim_start().starts_with("//! ") {
        out.add(1, Rule::ModuleDoc, "no module doc");
    }
}

fn columns(text: &str, out: &mut Findings<'_>) {
    for (at, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > MAX_COLUMNS && !line.contains("https://") {
            out.add(at + 1, Rule::Columns, format!("{columns} columns"));
        }
    }
}

/// Words in comments count: a promise in a comment is a promise.
fn unfinished(text: &str, tokens: &[Token], out: &mut Findings<'_>) {
    // Put together here, so that this file holds none of them.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    for (at, line) in text.lines().enumerate() {
        let mut named = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(word) = named.find(|w| words.contains(w)) {
            out.add(at + 1, Rule::Unfinished, format!("`{word}`"));
        }
    }
    for pair in tokens.windows(2) {
        let Some(name @ ("todo" | "unimplemented" | "dbg")) = pair[0].word() else { continue };
        if pair[1].is('!') {
            out.add(pair[0].line, Rule::Unfinished, format!("`{name}!`"));
        }
    }
}

fn ignored(tokens: &[Token], out: &mut Findings<'_>) {
    for at in 0..tokens.len().saturating_sub(2) {
        // `#[ignore` and `#[cfg_attr(miri, ignore` alike.
        let attribute = (tokens[at].is('[') || tokens[at].is(','))
            && tokens[at + 1].word() == Some("ignore")
            && (tokens[at + 2].is(']') || tokens[at + 2].is(')') || tokens[at + 2].is('='));
        let reason = tokens[at + 2].is('=')
            && tokens
                .get(at + 3)
                .is_some_and(|t| matches!(t.kind, lex::Kind::Literal { empty: false }));
        if attribute && !reason {
            out.add(tokens[at + 1].line, Rule::Ignored, "#[ignore] without a reason");
        }
    }
}

fn machine_paths(text: &str, out: &mut Findings<'_>) {
    // Put together here, so that this file holds none of them.
    let roots = [concat!("/wo", "rk/"), concat!("/tmp/", "wt"), concat!("/ro", "ot/")];
    for (at, line) in text.lines().enumerate() {
        for root in roots {
            let starts = line.match_indices(root).any(|(i, _)| {
                !line[..i].ends_with(|c: char| c.is_alphanumeric() || "._-}*".contains(c))
            });
            if starts {
                out.add(at + 1, Rule::MachinePath, format!("`{root}`"));
            }
        }
    }
}

fn crate_sources(text: &str, out: &mut Findings<'_>) {
    for (at, line) in text.lines().enumerate() {
        let Some(source) = line.strip_prefix("source = ") else { continue };
        if source.trim_matches('"') != CRATE_SOURCE {
            out.add(at + 1, Rule::CrateSource, source);
        }
    }
}
