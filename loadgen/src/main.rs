//! The binary `loadgen`: arguments -> plan -> run -> verdict -> report -> exit code.

fn main() {}
