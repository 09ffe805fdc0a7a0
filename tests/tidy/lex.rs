//! Just enough of Rust's lexical grammar to tell code from comments and strings.
//!
//! The rules ask what a file names, so a word in a comment or in a string must not count, and a
//! brace in a string must not end a function. It never parses types or expressions.

use std::iter::Peekable;
use std::str::CharIndices;

/// What a token is. Comments give none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A word: keyword, name, lifetime without its quote, or number.
    Word(String),
    /// One punctuation character.
    Punct(char),
    /// A string or character literal; whether it holds nothing.
    Literal { empty: bool },
}

/// A token and the line it starts on, counted from 1.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

impl Token {
    pub(crate) fn is(&self, punct: char) -> bool {
        self.kind == Kind::Punct(punct)
    }

    pub(crate) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            Kind::Punct(_) | Kind::Literal { .. } => None,
        }
    }
}

/// The tokens of `text`. Text that does not lex (an open string) ends the list early; the compiler
/// reports it better than this could.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, rest: text.char_indices().peekable(), line: 1 };
    let mut found = Vec::new();
    while let Some(&(at, c)) = lexer.rest.peek() {
        let line = lexer.line;
        if let Some(kind) = lexer.token(at, c) {
            found.push(Token { line, kind });
        }
    }
    found
}

struct Lexer<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
    line: usize,
}

impl Lexer<'_> {
    fn bump(&mut self) -> Option<char> {
        let (_, c) = self.rest.next()?;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.bump();
        }
    }

    fn token(&mut self, at: usize, c: char) -> Option<Kind> {
        let rest = &self.text[at..];
        if rest.starts_with("//") {
            while self.rest.peek().is_some_and(|&(_, c)| c != '\n') {
                self.bump();
            }
            return None;
        }
        if rest.starts_with("/*") {
            self.block_comment();
            return None;
        }
        if let Some(hashes) = raw_string(rest) {
            return Some(self.raw_string(hashes));
        }
        match c {
            '"' => Some(self.quoted('"')),
            'b' | 'c' if rest[1..].starts_with('"') => {
                self.bump();
                Some(self.quoted('"'))
            }
            '\'' => Some(self.quote(rest)),
            _ if c.is_alphanumeric() || c == '_' => {
                let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let word = &rest[..len.unwrap_or(rest.len())];
                self.skip(word.chars().count());
                Some(Kind::Word(word.to_owned()))
            }
            _ => {
                self.bump();
                (!c.is_whitespace()).then_some(Kind::Punct(c))
            }
        }
    }

    /// Block comments nest.
    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while let Some(&(at, _)) = self.rest.peek() {
            if self.text[at..].starts_with("/*") {
                depth += 1;
                self.skip(2);
            } else if self.text[at..].starts_with("*/") {
                depth -= 1;
                self.skip(2);
                if depth == 0 {
                    return;
                }
            } else {
                self.bump();
            }
        }
    }

    fn raw_string(&mut self, hashes: usize) -> Kind {
        while self.bump().is_some_and(|c| c != '"') {}
        let end = format!("\"{}", "#".repeat(hashes));
        let mut empty = true;
        while let Some(&(at, _)) = self.rest.peek() {
            if self.text[at..].starts_with(&end) {
                self.skip(end.len());
                break;
            }
            empty = false;
            self.bump();
        }
        Kind::Literal { empty }
    }

    fn quoted(&mut self, end: char) -> Kind {
        self.bump();
        let mut empty = true;
        while let Some(c) = self.bump() {
            if c == end {
                break;
            }
            if c == '\\' {
                self.bump();
            }
            empty = false;
        }
        Kind::Literal { empty }
    }

    /// A quote opens a character literal, or a lifetime, which has no closing quote.
    fn quote(&mut self, rest: &str) -> Kind {
        let mut after = rest.chars().skip(1);
        let first = after.next();
        if first == Some('\\') || after.next() == Some('\'') {
            return self.quoted('\'');
        }
        self.bump();
        Kind::Punct('\'')
    }
}

/// The number of `#` of a raw string that `rest` starts with.
fn raw_string(rest: &str) -> Option<usize> {
    let after = ["r", "br", "cr"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

/// A path as written (`std::io::Read`), with each leaf of a group (`std::{io, net}`) on its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
    /// How many inline modules (`mod tests {`) it stands in.
    pub(crate) inline_modules: usize,
}

/// Every path that `tokens` name, one-word paths included.
pub(crate) fn paths(tokens: &[Token]) -> Vec<Path> {
    let mut found = Vec::new();
    let mut braces: Vec<bool> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let token = &tokens[at];
        if token.is('{') {
            braces.push(at >= 2 && tokens[at - 2].word() == Some("mod"));
        } else if token.is('}') {
            braces.pop();
        }
        if token.word().is_some() {
            let inline_modules = braces.iter().filter(|&&module| module).count();
            at = path(tokens, at, &mut Vec::new(), inline_modules, &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one path or group at `at`, below `prefix`; returns where it ends.
fn path(
    tokens: &[Token],
    mut at: usize,
    prefix: &mut Vec<String>,
    inline_modules: usize,
    found: &mut Vec<Path>,
) -> usize {
    let depth = prefix.len();
    let line = tokens[at].line;
    let separator = |at: usize| {
        tokens.get(at).is_some_and(|t| t.is(':')) && tokens.get(at + 1).is_some_and(|t| t.is(':'))
    };
    while let Some(word) = tokens.get(at).and_then(Token::word) {
        prefix.push(word.to_owned());
        at += 1;
        if !separator(at) {
            found.push(Path { line, segments: prefix.clone(), inline_modules });
            break;
        }
        at += 2;
        let next = tokens.get(at);
        if next.is_some_and(|t| t.is('{')) {
            at = group(tokens, at + 1, prefix, inline_modules, found);
            break;
        }
        if next.and_then(Token::word).is_none() {
            // A glob or a turbofish: the path so far is what is named.
            found.push(Path { line, segments: prefix.clone(), inline_modules });
            break;
        }
    }
    prefix.truncate(depth);
    at
}

/// Reads a use group from after its `{` to after its `}`.
fn group(
    tokens: &[Token],
    mut at: usize,
    prefix: &mut Vec<String>,
    inline_modules: usize,
    found: &mut Vec<Path>,
) -> usize {
    while let Some(token) = tokens.get(at) {
        if token.is('}') {
            return at + 1;
        }
        if token.word() == Some("as") {
            at += 2;
        } else if token.word().is_some() {
            at = path(tokens, at, prefix, inline_modules, found);
        } else {
            if token.is('*') {
                let segments = prefix.clone();
                found.push(Path { line: token.line, segments, inline_modules });
            }
            at += 1;
        }
    }
    at
}
