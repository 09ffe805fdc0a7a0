//! What a run gives: counts and processor time between two marks, printed as one line of JSON.

use crate::options::Options;
use crate::proc::Ran;
use std::io::{self, Write};
use std::time::Instant;

/// The measured window, closed at both ends.
#[derive(Default)]
pub struct Tally {
    /// Messages answered (or deliveries made) since the loop began.
    pub total: u64,
    from: Option<Mark>,
    to: Option<Mark>,
}

struct Mark {
    at: Instant,
    total: u64,
    server: Option<Ran>,
    client: Ran,
}

/// Prints `said` and, where a run is gated, waits for a line on the input. What happens between two
/// gates is the loop alone: a tracer of the server counts neither the opening nor the closing.
///
/// # Errors
/// When the input fails.
pub fn gate(options: &Options, said: &str) -> io::Result<()> {
    println!("{said}");
    if options.gated {
        io::stdout().flush()?;
        io::stdin().read_line(&mut String::new())?;
    }
    Ok(())
}

impl Tally {
    /// Opens and closes the window when its time has come; whether the loop is to stop.
    ///
    /// # Errors
    /// When a processor time can't be read.
    pub fn tick(&mut self, options: &Options, start: Instant) -> io::Result<bool> {
        let now = Instant::now();
        if self.from.is_none() && now >= start + options.warmup {
            self.from = Some(self.mark(options, now)?);
        }
        let stop = match options.messages {
            Some(limit) => self.total >= limit,
            // A window without a message tells nothing: it is kept open for the first.
            None => {
                now >= start + options.warmup + options.window
                    && self.from.as_ref().is_some_and(|from| self.total > from.total)
            }
        };
        if stop && self.to.is_none() {
            self.to = Some(self.mark(options, now)?);
        }
        Ok(stop)
    }

    fn mark(&self, options: &Options, at: Instant) -> io::Result<Mark> {
        let server = options.server_pid.map(|pid| Ran::of(&pid.to_string())).transpose()?;
        Ok(Mark { at, total: self.total, server, client: Ran::of("self")? })
    }

    /// The window's figures as one line of JSON; `total` is all messages of the loop, and
    /// `server_ns` is null where no process was named.
    pub fn line(&self) -> String {
        let total = self.total;
        let (Some(from), Some(to)) = (&self.from, &self.to) else {
            return format!("{{\"total\":{total}}}");
        };
        let server_ns = match (&from.server, &to.server) {
            (Some(from), Some(to)) => from.until(to).to_string(),
            _ => "null".to_owned(),
        };
        format!(
            "{{\"messages\":{},\"seconds\":{:.6},\"server_ns\":{},\"client_ns\":{},\
             \"total\":{total}}}",
            to.total - from.total,
            (to.at - from.at).as_secs_f64(),
            server_ns,
            from.client.until(&to.client),
        )
    }
}
