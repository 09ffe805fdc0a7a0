//! The generator's own floor: what it reports of an echo that costs nothing.
//!
//! Before a run one connection talks over loopback, by a schedule of the same kind, to a thread
//! that blocks in a read, turns each frame round and writes it: the kernel's way there and back,
//! a timer, two wake-ups, and all that this program does with a message. A server whose response
//! is of that order is not what a run has measured.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::thread::Builder;

use clap::Parser as _;
use plimsoll::limits;
use plimsoll::wire::frame::{self, MAX_HEADER, Opcode};
use plimsoll::wire::handshake::{head_end, parse_request, write_switching};
use plimsoll::wire::mask::Masker;

use crate::cli::plan::Switch;
use crate::cli::{Args, Plan};
use crate::measure::{Kind, Latency, Summary};
use crate::run::run_until;

/// A response p50 under so many floors is said to be the generator's more than the server's.
const NEAR: u64 = 2;

/// Messages a second of an open loop's floor: so few give a percentile, so many one thread echoes.
const LEAST_RATE: f64 = 500.0;
const MOST_RATE: f64 = 10_000.0;

/// The measured window and what is before and after it: under half a second in all.
const WINDOWS: &str = "-d 300ms --warmup 50ms --drain 100ms";

/// [`measure`] if it is wanted.
pub(crate) fn measured(wanted: Switch, plan: &Plan, stop: &AtomicBool) -> Option<Summary> {
    match wanted {
        Switch::On => measure(plan, stop),
        Switch::Off => None,
    }
}

/// What the generator reports of an echo that costs nothing. `None` if the machine would not let it
/// be found out, or `stop` came first: the run itself does not depend on it.
pub fn measure(plan: &Plan, stop: &AtomicBool) -> Option<Summary> {
    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    let address = listener.local_addr().ok()?;
    let pace = plan
        .pace
        .rate()
        .map_or(String::new(), |rate| format!("--rate {:.0}", rate.clamp(LEAST_RATE, MOST_RATE)));
    let pin = if plan.pin { "" } else { "--no-pin" };
    let line = format!(
        "loadgen ws://{address}/ -c 1 -t 1 {WINDOWS} {pace} {pin} --ramp off --heartbeat off \
         --floor off --quiet"
    );
    let alone = Args::try_parse_from(line.split_ascii_whitespace()).ok()?.plan().ok()?;
    let echo = Builder::new().name("floor".to_owned()).spawn(move || {
        // Whoever comes first is the only one; what goes wrong shows as a floor that is missing.
        let _ = listener.accept().and_then(|(stream, _)| echo(stream));
    });
    let echo = echo.ok()?;
    let outcome = run_until(&alone, stop);
    // If nobody came, this one does, and goes at once.
    drop(TcpStream::connect(address));
    let _ = echo.join();
    outcome.ok()?.latencies.get(Kind::Response).map(Latency::summary)
}

/// Whether a server whose median response is so long was hardly seen above the floor.
pub fn is_near(response_p50: u64, floor: &Summary) -> bool {
    response_p50 < floor.p50.saturating_mul(NEAR)
}

/// Turns frames round until the peer closes.
fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = vec![0; limits::READ_BUFFER];
    let mut held = 0;
    let mut output = Vec::with_capacity(limits::READ_BUFFER);
    let mut open = false;
    let masker = Masker::detect();
    loop {
        let n = stream.read(&mut input[held..])?;
        if n == 0 {
            return Ok(());
        }
        held += n;
        let mut used = 0;
        if !open && let Some(end) = head_end(&input[..held], 0) {
            let request = parse_request(&input[..end]).map_err(|_| io::ErrorKind::InvalidData)?;
            write_switching(&mut output, &request.accept(), None);
            (open, used) = (true, end);
        }
        let mut ended = false;
        while open
            && !ended
            && let Some((size, opcode)) = turn_round(masker, &mut input[used..held], &mut output)?
        {
            used += size;
            ended = opcode == Opcode::Close;
        }
        stream.write_all(&output)?;
        if ended {
            // The server ends TCP first (RFC 6455 7.1.1).
            return Ok(());
        }
        output.clear();
        input.copy_within(used..held, 0);
        held -= used;
    }
}

/// Writes the answer to the frame at the front, if it is whole: its size and what it was.
fn turn_round(
    masker: Masker,
    bytes: &mut [u8],
    output: &mut Vec<u8>,
) -> io::Result<Option<(usize, Opcode)>> {
    let header = frame::decode(bytes, true).map_err(|_| io::ErrorKind::InvalidData)?;
    let Some(header) = header else { return Ok(None) };
    let start = usize::from(header.size);
    let end = start + header.len as usize;
    let Some(payload) = bytes.get_mut(start..end) else { return Ok(None) };
    masker.apply(header.key, payload);
    let mut head = [0; MAX_HEADER];
    let size = frame::encode(header.fin, header.opcode, payload.len(), None, &mut head);
    output.extend_from_slice(&head[..size]);
    output.extend_from_slice(payload);
    Ok(Some((end, header.opcode)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::tests::plan;

    #[test]
    fn a_floor_of_either_loop() {
        for line in ["--no-pin", "-R 100k --no-pin", "-R 5 --no-pin", "--mode idle --no-pin"] {
            let floor = measure(&plan(line), &AtomicBool::new(false)).unwrap();
            // No thread wakes another through two sockets in under a microsecond.
            assert!(floor.count > 20 && floor.min > 1000, "{line}: {floor:?}");
            assert!(floor.p50 <= floor.p99 && floor.p99 <= floor.max, "{line}: {floor:?}");
        }
        let open = measure(&plan("-R 5 --no-pin"), &AtomicBool::new(false)).unwrap();
        assert_eq!(open.count, 150, "500 a second for 300 ms");
    }

    /// A stop before the run, or amid the floor's own, costs no more than that.
    #[test]
    fn a_stop_needs_no_floor() {
        let begun = std::time::Instant::now();
        assert_eq!(measure(&plan("--no-pin"), &AtomicBool::new(true)), None);
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    }

    #[test]
    fn near_is_within_two() {
        let floor = Summary { p50: 100, ..Summary::default() };
        assert!(is_near(199, &floor) && !is_near(200, &floor));
    }
}
