//! The load generator: how much load may this WebSocket system carry, and why not more?
//!
//! ```text
//! main          arguments -> Plan -> run -> judge -> report -> exit code
//! report        the terminal's report and the result file; judge: may the figures be believed
//! progress      the live line; reads what the threads publish, never asks them
//! run           threads, phases, the embedded server
//! workload      the client's App on a shard; schedule: when each message is due
//! measure cost  histograms and tallies of a thread; CPU and memory of both sides
//! cli           arguments -> a Plan without contradictions
//! ```
//!
//! # Invariants
//!
//! - A latency counts from the time at which its message was due, never from a time moved by a slow
//!   server. What was not answered is reported as unanswered, never dropped.
//! - Percentiles are read from merged histograms, never averaged.
//! - A run that measured its own generator says so, and ends with exit code 4.

pub mod cli;
pub mod cost;
pub mod human;
pub mod judge;
pub mod measure;
pub mod progress;
pub mod report;
