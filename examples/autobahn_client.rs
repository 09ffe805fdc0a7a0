//! Answers the Autobahn test suite's fuzzing server with this library's client half: asks how many
//! cases there are, echoes in each until it is closed, and has the reports written.
//!
//! `cargo run --release --example autobahn_client -- 127.0.0.1:9301 [FIRST [LAST]]`
//!
//! It is also the smallest driver of a [`Conn`]: one blocking socket, no shard.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use plimsoll::conn::{
    Conn, End, Event, Gear, Input, MAX_TAIL, Message, Sender, Settings, Side, Step, Tick, Upgrade,
};
use plimsoll::limits;
use plimsoll::shard::default_settings;

/// The suite's largest message is 16 MiB.
const MAX_MESSAGE: usize = 32 << 20;
/// No case takes longer, the suite's own deadlines included.
const PATIENCE: Duration = Duration::from_mins(2);
const AGENT: &str = "plimsoll";

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let server = args.next().unwrap_or_else(|| "127.0.0.1:9301".to_owned());
    let first: u32 = args.next().map_or(Ok(1), |text| text.parse())?;
    let last: Option<u32> = args.next().map(|text| text.parse()).transpose()?;

    let mut count = String::new();
    talk(&server, "/getCaseCount", |_, message| {
        count = String::from_utf8_lossy(message.payload()).into_owned();
    })?;
    let cases: u32 = count.trim().parse()?;
    println!("{cases} cases");
    for case in first..=last.unwrap_or(cases).min(cases) {
        let target = format!("/runCase?case={case}&agent={AGENT}");
        let end = talk(&server, &target, |sender, message| {
            sender.echo(message);
        })?;
        println!("case {case}: {}", end.name());
    }
    talk(&server, &format!("/updateReports?agent={AGENT}"), |_, _| ())?;
    Ok(())
}

fn settings() -> Settings {
    Settings { max_message: MAX_MESSAGE, ..default_settings(Side::Client) }
}

/// One connection from its handshake to its end.
fn talk(
    server: &str,
    target: &str,
    mut hear: impl FnMut(&mut Sender<'_>, &mut Message<'_>),
) -> Result<End, Box<dyn Error>> {
    let mut gear = Gear::new(settings(), None);
    let upgrade = Upgrade { host: server.into(), target: target.into(), ..Upgrade::default() };
    upgrade.request().check()?;
    let mut socket = TcpStream::connect(server)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(limits::TICK))?;
    let mut conn = Conn::client(Rc::new(upgrade), &mut gear);
    let mut bytes = vec![0; MAX_TAIL + limits::READ_BUFFER];
    let begin = Instant::now();
    let mut deadline = Tick(u32::MAX);
    conn.ask(&mut gear);
    loop {
        write_staged(&mut conn, &mut gear, &bytes, &mut socket);
        match conn.step(&gear) {
            Step::Stay => {}
            Step::Finish => drop(socket.shutdown(Shutdown::Write)),
            Step::Close => return Ok(conn.end(&mut gear)),
        }
        if begin.elapsed() > PATIENCE {
            return Err(format!("{target}: no end after {PATIENCE:?}").into());
        }
        gear.now = Tick::default().after(Tick::whole(begin.elapsed()));
        deadline = conn.take_deadline().unwrap_or(deadline);
        if gear.now >= deadline {
            conn.handle_deadline(&mut gear);
            continue;
        }
        let Some(range) = read(&mut conn, &mut gear, &mut bytes, &mut socket) else { continue };
        let at = range.start;
        let mut input = Input::new(&mut bytes[range], at);
        while let Some(event) = conn.next(&mut input, &mut gear) {
            if let Event::Message(mut message) = event {
                hear(&mut conn.sender(&mut gear), &mut message);
            }
        }
    }
}

/// Reads once: into a large message's own buffer, or behind the kept tail. Says where new input
/// lies.
fn read(
    conn: &mut Conn,
    gear: &mut Gear,
    bytes: &mut [u8],
    socket: &mut TcpStream,
) -> Option<std::ops::Range<usize>> {
    let direct = conn.direct(gear).map(|room| socket.read(room));
    let is_direct = direct.is_some();
    let outcome = direct.unwrap_or_else(|| socket.read(&mut bytes[MAX_TAIL..]));
    let n = match outcome {
        Ok(0) => {
            conn.handle_eof();
            return None;
        }
        Ok(n) => n,
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
        Err(_) => {
            conn.handle_fault(End::Socket("read failed"));
            return None;
        }
    };
    conn.heard(gear);
    if is_direct {
        conn.received(n, gear);
        return Some(0..0);
    }
    let tail = conn.restore_tail(&mut bytes[..MAX_TAIL], gear);
    Some(MAX_TAIL - tail..MAX_TAIL + n)
}

/// Writes what the turn staged. The suite closes in the middle of some: then nothing is owed.
fn write_staged(conn: &mut Conn, gear: &mut Gear, bytes: &[u8], socket: &mut TcpStream) {
    let failed = gear.stage.slices(bytes).any(|slice| socket.write_all(slice).is_err());
    let len = gear.stage.len();
    conn.settle(len, bytes, gear);
    if failed {
        conn.handle_fault(End::Socket("write failed"));
    }
}
