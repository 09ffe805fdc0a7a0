//! The load generator: how much load may this WebSocket system carry, and why not more?
//!
//! ```text
//! main          arguments -> Plan -> run -> judge -> report -> exit code
//! report        the terminal's report and the result file; judge: may the figures be believed
//! page          the result as one page for a browser
//! progress      what is shown meanwhile; reads what the threads publish, never asks them
//! find          the highest load that keeps its objectives (slo), by runs of many loads
//! doctor        whether this machine can carry a run
//! run           threads, phases, the embedded server; interrupt: Ctrl-C
//! workload      the client's App on a shard
//! schedule      when each message is due; inflight: what is not answered yet
//! payload draw  what a message carries, and how long it is; template: the user's own words
//! heard         what a subscriber heard of each publisher
//! target sources the server's address, ours; shards: threads for the descriptors
//! merge compare results added up; whether one is worse than another beyond noise
//! measure cost  histograms and tallies of a thread; CPU and memory of both sides
//! cli           arguments -> a Plan without contradictions
//! floor         what the generator reports of an echo that costs nothing
//! rehearsal     one shard led by hand, for instruction counts
//! ```
//!
//! # Invariants
//!
//! - A latency counts from the time at which its message was due, never from a time moved by a slow
//!   server. What was not answered is reported as unanswered, never dropped.
//! - Percentiles are read from merged histograms, never averaged.
//! - A run that measured its own generator says so, and ends with exit code 4.

pub mod cli;
pub mod compare;
pub mod cost;
pub mod doctor;
mod draw;
pub mod find;
pub mod floor;
mod heard;
pub mod human;
mod inflight;
pub mod interrupt;
pub mod judge;
pub mod measure;
pub mod memory;
pub mod merge;
mod nanos;
mod page;
mod payload;
pub mod progress;
mod prometheus;
pub mod rehearsal;
pub mod report;
pub mod run;
mod schedule;
pub mod shards;
pub mod slo;
pub mod sources;
pub mod target;
mod template;
pub mod token;
mod workload;
