//! Connections that have said one thing and are idle since: what they cost the server's memory.

use crate::connection;
use crate::frames::Message;
use crate::options::Options;
use crate::proc;
use std::error::Error;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

/// Connections before the first look, so that what a server allocates but once is not counted.
const BEFORE: usize = 100;
/// Time for the server to give back what the opening took, and for a collector to run.
const SETTLE: Duration = Duration::from_millis(2500);

/// Holds the connections and prints the growth of the server's own memory as one line of JSON.
///
/// # Errors
/// When a connection fails, or the server's memory can't be read.
pub fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let pid = options.server_pid.ok_or("--mode hold needs --server-pid")?;
    let message = Message::new(options, 1);
    let mut held = Vec::with_capacity(BEFORE + options.connections);
    open(options, &message, BEFORE, &mut held)?;
    sleep(SETTLE);
    let before = proc::anonymous_bytes(pid)?;
    open(options, &message, options.connections, &mut held)?;
    sleep(SETTLE);
    let after = proc::anonymous_bytes(pid)?;
    let grown = after.checked_sub(before).ok_or_else(|| {
        format!(
            "the server's own memory shrank from {before} to {after} bytes while {} connections \
             came, so what they cost can't be told; measure again",
            options.connections
        )
    })?;
    println!("{{\"held\":{},\"bytes\":{grown}}}", options.connections);
    Ok(())
}

fn open(
    options: &Options,
    message: &Message,
    count: usize,
    held: &mut Vec<TcpStream>,
) -> Result<(), Box<dyn Error>> {
    for _ in 0..count {
        let mut stream = connection::open(options)?;
        connection::exchange(&mut stream, options, message)?;
        held.push(stream);
    }
    Ok(())
}
