//! What a run shows while it lasts: figures for a scraper, a view on a terminal, lines elsewhere.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, tcgetattr};

fn loadgen(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(line.split_ascii_whitespace());
    command
}

/// A port that was free a moment ago.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn ask(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Until it says something; a minute is longer than any machine takes.
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{what}");
        sleep(Duration::from_millis(50));
    }
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

#[test]
fn a_run_is_scraped_while_it_lasts() {
    let address = free();
    let line = format!("-c 5 -R 200 -d 1m --warmup 0s --no-pin --quiet --prometheus {address}");
    let mut child = loadgen(&line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let value = |page: &str, name: &str| -> Option<f64> {
        let line = page.lines().find(|line| line.split(' ').next() == Some(name))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    let measuring = until("nothing was measured", || {
        let page = ask(address, "/metrics")?;
        let answered = value(&page, "loadgen_response_seconds_count")?;
        (page.contains("loadgen_stage{stage=\"measuring\"} 1") && answered > 20.0).then_some(page)
    });
    assert!(measuring.starts_with("HTTP/1.1 200 ") && measuring.contains("text/plain; version=0"));
    assert_eq!(value(&measuring, "loadgen_connections_established_total"), Some(5.0));
    assert!(value(&measuring, "loadgen_generator_cpu_seconds_total").unwrap() > 0.0);
    let sent = value(&measuring, "loadgen_messages_sent_total").unwrap();
    until("it stood still", || {
        let page = ask(address, "/metrics")?;
        (value(&page, "loadgen_messages_sent_total")? > sent).then_some(())
    });
    assert!(ask(address, "/other").unwrap().starts_with("HTTP/1.1 404 "));
    // One that asks and reads nothing does not hold the end up.
    let _idle = TcpStream::connect(address).unwrap();
    interrupt(&child);
    assert!(matches!(child.wait().unwrap().code(), Some(0 | 4)));
}

#[test]
fn an_address_that_cannot_be_listened_on_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let output = loadgen(&format!("-c 1 -d 1s --prometheus {address}")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("--prometheus {address}: it cannot be listened on")), "{said}");
    for bad in ["nowhere", "127.0.0.1", "127.0.0.1:99999"] {
        let output = loadgen(&format!("--prometheus {bad}")).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{bad}: {output:?}");
    }
}

/// A program on a terminal of its own, and everything that came there.
struct OnTerminal {
    child: Child,
    tty: File,
    /// Its modes before the program began.
    before: LocalModes,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl OnTerminal {
    fn start(line: &str) -> Self {
        let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let (mut master, tty) = (File::from(pty.master), File::from(pty.slave));
        let before = tcgetattr(&tty).unwrap().local_modes;
        let mut command = loadgen(line);
        command.env("TERM", "xterm").stdout(Stdio::null()).stderr(tty.try_clone().unwrap());
        let child = command.spawn().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n) = master.read(&mut bytes) {
                all.lock().unwrap().extend_from_slice(&bytes[..n]);
            }
        });
        Self { child, tty, before, seen }
    }

    fn shows(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).contains(text)
    }

    fn await_text(&self, text: &str) {
        until(text, || self.shows(text).then_some(()));
    }
}

const ENTERED: &str = "\x1b[?1049h";
const LEFT: &str = "\x1b[?25h\x1b[?1049l";

/// The view comes, Ctrl-C ends the run in order, and the terminal is as it was.
#[test]
fn the_view_is_left_in_order() {
    let mut on = OnTerminal::start("-c 5 -R 100 -d 1m --warmup 0s --no-pin");
    on.await_text(ENTERED);
    // Of a line that changes only the changed cells come: this one stands from the first drawing.
    on.await_text("Ctrl-C ends the run");
    assert_ne!(tcgetattr(&on.tty).unwrap().local_modes, on.before);
    sleep(Duration::from_secs(3));
    interrupt(&on.child);
    // On a machine that took so long to connect nothing was measured, which ends with 1.
    assert!(matches!(on.child.wait().unwrap().code(), Some(0 | 1 | 4)));
    on.await_text(LEFT);
    assert_eq!(tcgetattr(&on.tty).unwrap().local_modes, on.before);
}

/// A second Ctrl-C ends the process at once, and still gives the terminal back.
#[test]
fn the_view_is_left_in_haste() {
    // Nobody answers this opening: the run stays where it is.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", silent.local_addr().unwrap());
    let mut on = OnTerminal::start(&format!("{url} -c 1 -d 1m --no-pin --live full"));
    on.await_text(ENTERED);
    while on.child.try_wait().unwrap().is_none() {
        interrupt(&on.child);
        sleep(Duration::from_millis(1));
    }
    // The first signal alone may have been enough on a slow machine; the terminal is the same.
    assert!(matches!(on.child.wait().unwrap().code(), Some(130 | 1)));
    on.await_text(LEFT);
    assert_eq!(tcgetattr(&on.tty).unwrap().local_modes, on.before);
}

/// Without a terminal there are lines, one for each part that is over; or nothing at all.
#[test]
fn lines_without_a_terminal() {
    let line = "-c 5 -R 100 -d 2s --warmup 1s --drain 100ms --no-pin";
    let output = loadgen(line).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("Measuring | ") && said.contains(" msg/s | p99 "), "{said}");
    assert!(!said.contains('\x1b'), "{said}");
    let output = loadgen(&format!("{line} --live off")).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("Measuring"), "{said}");
    let output = loadgen(&format!("{line} --live full")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--live full: standard error is no terminal"), "{said}");
}
