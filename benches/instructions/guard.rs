//! The hot paths for the instruction count that `scripts/instructions` makes under callgrind.
//!
//! With a name it runs that bench, with `--list` it names them all, alone it runs each. What is
//! counted happens inside [`counted`]; what happens there inside [`memory::aside`] is taken off
//! again: bringing the input, and the reads, writes and polls of the network in memory. Each bench
//! is a process of its own, so none depends on what ran before it.
//!
//! How it may mislead: an instruction is no nanosecond. A cache miss, a system call, a branch that
//! is guessed wrong cost more than their count; no kernel is in here. It tells that a path has
//! become longer, reliably; what that costs the time bench tells.

#![allow(clippy::unwrap_used, reason = "a bench that cannot be set up must not go on")]
#![allow(clippy::print_stdout, reason = "a program that a script reads")]

mod codec;
mod memory;
mod shards;
#[path = "../support/turn.rs"]
mod turn;

use plimsoll::wire::mask::Masker;

/// Turns before the count: memory is there, and branches of the first time are behind.
const WARM_UP: u32 = 16;
/// Turns that are counted.
const TURNS: u32 = 16;

/// What a bench repeats, and how many operations each turn of it is.
pub(crate) struct Work {
    turn: Box<dyn FnMut()>,
    operations: u32,
}

impl Work {
    pub(crate) fn new(operations: u32, turn: impl FnMut() + 'static) -> Self {
        Self { turn: Box::new(turn), operations }
    }
}

/// A bench before it is set up.
pub(crate) struct Bench {
    name: String,
    setup: Box<dyn FnOnce() -> Work>,
}

impl Bench {
    pub(crate) fn new(name: impl Into<String>, setup: impl FnOnce() -> Work + 'static) -> Self {
        Self { name: name.into(), setup: Box::new(setup) }
    }

    fn run(self) {
        let mut work = (self.setup)();
        for _ in 0..WARM_UP {
            (work.turn)();
        }
        counted(&mut work.turn);
        println!("{} {}", self.name, TURNS * work.operations);
    }
}

/// The count begins at its first instruction and ends at its last.
#[inline(never)]
fn counted(turn: &mut dyn FnMut()) {
    for _ in 0..TURNS {
        turn();
    }
}

fn main() {
    let mut benches = codec::benches();
    benches.extend(shards::benches());
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("--list") => {
            // The shards choose their masks by the CPU; a baseline holds for one choice.
            println!("level {:?}", Masker::detect().level());
            for bench in &benches {
                println!("{}", bench.name);
            }
        }
        Some(name) if !name.starts_with("--") => {
            let bench = benches.into_iter().find(|bench| bench.name == name);
            bench.unwrap_or_else(|| panic!("no bench is called {name}: see --list")).run();
        }
        // Alone, or with what cargo adds.
        _ => benches.into_iter().for_each(Bench::run),
    }
}
