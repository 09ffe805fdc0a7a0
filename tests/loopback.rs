//! The built server over real sockets, with a client that shares no code with it.

// Counters are whole numbers, exact as floats.
#![allow(clippy::unwrap_used, clippy::float_cmp)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Response;
use tungstenite::http::StatusCode;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::{Error, HandshakeError, Message, WebSocket};

type Client = WebSocket<TcpStream>;

/// No answer takes so long; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server of its own for each test, killed with it.
struct Server {
    child: Child,
    addr: SocketAddr,
    admin: SocketAddr,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        // The admin port is free now and, a moment later, most probably still.
        let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = command(arguments)
            .args(["--listen", "127.0.0.1:0", "--admin", &admin.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on ws://").and_then(|l| l.split_once(' '));
        let (addr, shards) = address.unwrap_or_else(|| panic!("not the line: {line:?}"));
        assert!(shards.starts_with('(') && shards.ends_with("shards)\n"), "{line:?}");
        Self { child, addr: addr.parse().unwrap(), admin }
    }

    fn connect(&self, path: &str) -> Client {
        self.ask(path, &[]).unwrap().0
    }

    /// A handshake with further header fields.
    fn ask(
        &self,
        path: &str,
        fields: &[(&'static str, &str)],
    ) -> Result<(Client, Response), Error> {
        let stream = TcpStream::connect(self.addr).unwrap();
        self.ask_on(stream, path, fields)
    }

    fn ask_on(
        &self,
        stream: TcpStream,
        path: &str,
        fields: &[(&'static str, &str)],
    ) -> Result<(Client, Response), Error> {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut request = format!("ws://{}{path}", self.addr).into_client_request().unwrap();
        for (name, value) in fields {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        tungstenite::client(request, stream).map_err(|e| match e {
            HandshakeError::Failure(e) => e,
            HandshakeError::Interrupted(_) => panic!("no answer to the handshake"),
        })
    }

    /// Status and body of the refusal of a handshake.
    fn refused(&self, path: &str, fields: &[(&'static str, &str)]) -> (StatusCode, String) {
        match self.ask(path, fields) {
            Err(Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                (response.status(), String::from_utf8(body).unwrap())
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    /// A plain HTTP request.
    fn http(addr: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The sum over all shards of a metric whose labels hold `label`.
    fn metric(&self, name: &str, label: &str) -> f64 {
        let page = Self::http(self.admin, "/metrics");
        let lines = page.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        let values = lines.filter(|line| line.contains(label));
        values.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The exit code; the server must end by itself.
    fn ends(mut self) -> Option<i32> {
        let mut code = None;
        eventually("the server ends", || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        code.and_then(|status| status.code())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already in the tests that end it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary without what this environment may hold.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PLIMSOLL_")) {
        command.env_remove(name);
    }
    command.env("PLIMSOLL_LOG", "warn").args(arguments);
    command
}

fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The next text or binary message.
fn next(client: &mut Client) -> Message {
    loop {
        match client.read().unwrap() {
            Message::Ping(_) | Message::Pong(_) => {}
            message => return message,
        }
    }
}

/// The close frame that the server sends, after whatever else is on its way.
fn closed(client: &mut Client) -> CloseFrame {
    loop {
        match client.read() {
            Ok(Message::Close(Some(frame))) => return frame,
            Ok(_) => {}
            Err(e) => panic!("no close frame: {e}"),
        }
    }
}

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|n| (n as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

#[test]
fn echo_gives_every_message_back() {
    let server = Server::start(&[]);
    for path in ["/", "/echo", "/echo?x=1"] {
        let mut client = server.connect(path);
        let messages = [
            Message::text("hello"),
            Message::text(""),
            Message::text("\u{1f30a}".repeat(1000)),
            Message::binary(bytes(1, 1)),
            Message::binary(bytes(125, 2)),
            Message::binary(bytes(126, 3)),
            Message::binary(bytes(65_535, 4)),
            Message::binary(bytes(65_536, 5)),
            Message::binary(bytes(1 << 20, 6)),
            Message::text("x".repeat(1 << 20)),
        ];
        for message in messages {
            client.send(message.clone()).unwrap();
            assert!(next(&mut client) == message, "{} bytes", message.len());
        }
    }
}

#[test]
fn pipelined_messages_come_back_in_order() {
    let server = Server::start(&[]);
    let mut client = server.connect("/");
    for n in 0..2000 {
        client.write(Message::text(n.to_string())).unwrap();
    }
    client.flush().unwrap();
    for n in 0..2000 {
        assert_eq!(next(&mut client), Message::text(n.to_string()));
    }
}

#[test]
fn fragments_are_one_message_and_pings_between_are_answered() {
    let server = Server::start(&[]);
    let mut client = server.connect("/");
    let data = |opcode, part: &str, fin| {
        Message::Frame(Frame::message(part.to_owned(), OpCode::Data(opcode), fin))
    };
    client.send(data(Data::Text, "frag", false)).unwrap();
    client.send(Message::Ping("one".into())).unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong("one".into()));
    client.send(data(Data::Continue, "", false)).unwrap();
    client.send(data(Data::Continue, "men", false)).unwrap();
    client.send(Message::Ping("two".into())).unwrap();
    client.send(data(Data::Continue, "ts", true)).unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong("two".into()));
    assert_eq!(client.read().unwrap(), Message::text("fragments"));
}

#[test]
fn a_message_over_the_limit_is_closed_with_1009() {
    let server = Server::start(&["--max-message", "1k"]);
    let mut client = server.connect("/");
    client.send(Message::binary(bytes(1024, 0))).unwrap();
    assert_eq!(next(&mut client).len(), 1024);
    client.send(Message::binary(bytes(1025, 0))).unwrap();
    let frame = closed(&mut client);
    assert_eq!(frame.code, CloseCode::Size, "{frame:?}");
}

#[test]
fn a_close_is_answered_in_kind() {
    let server = Server::start(&[]);
    let mut client = server.connect("/");
    let frame = CloseFrame { code: CloseCode::Library(4001), reason: "bye".into() };
    client.close(Some(frame)).unwrap();
    assert_eq!(closed(&mut client).code, CloseCode::Library(4001));
    assert!(matches!(client.read(), Err(Error::ConnectionClosed)), "the server closes TCP first");
    drop(client);
    eventually("the end is counted", || {
        server.metric("plimsoll_connections_ended_total", "closed_by_peer") > 0.0
    });
}

#[test]
fn broadcast_reaches_everyone_on_every_shard_in_the_order_of_each_sender() {
    let server = Server::start(&["--threads", "3"]);
    let mut members: Vec<Client> = (0..16).map(|_| server.connect("/broadcast/a")).collect();
    let mut other = server.connect("/broadcast/b");
    let mut plain = server.connect("/broadcast");
    for n in 0..50 {
        for (sender, member) in members.iter_mut().take(3).enumerate() {
            let text = format!("{sender} {n}");
            let binary = n % 2 == 1;
            let message = if binary { Message::binary(text) } else { Message::text(text) };
            member.send(message).unwrap();
        }
    }
    for member in &mut members {
        let mut expected = [0; 3];
        for _ in 0..150 {
            let message = next(member);
            let text = String::from_utf8(message.clone().into_data().to_vec()).unwrap();
            let (sender, n) = text.split_once(' ').unwrap();
            let (sender, n): (usize, u32) = (sender.parse().unwrap(), n.parse().unwrap());
            assert_eq!(n, expected[sender], "lost, doubled or out of order");
            assert_eq!(message.is_binary(), n % 2 == 1, "its type is kept");
            expected[sender] += 1;
        }
        assert_eq!(expected, [50; 3]);
    }
    // Had they got anything of the others' path, it would come before their own.
    for client in [&mut other, &mut plain] {
        client.send(Message::text("mine")).unwrap();
        assert_eq!(next(client), Message::text("mine"));
    }
}

#[test]
fn who_has_seen_its_101_gets_what_is_published_after_it() {
    let server = Server::start(&["--threads", "4"]);
    let mut publisher = server.connect("/broadcast/room");
    for n in 0..100 {
        let mut subscriber = server.connect("/broadcast/room");
        publisher.send(Message::text(n.to_string())).unwrap();
        assert_eq!(next(&mut subscriber), Message::text(n.to_string()), "subscriber {n}");
        assert_eq!(next(&mut publisher), Message::text(n.to_string()));
    }
}

#[test]
fn a_flood_from_all_sides_arrives_whole() {
    let server = Server::start(&["--threads", "4"]);
    let mut members: Vec<Client> = (0..8).map(|_| server.connect("/broadcast/flood")).collect();
    for (sender, member) in members.iter_mut().enumerate() {
        for n in 0..300_u16 {
            let mut payload = vec![sender as u8; 250];
            payload[1..3].copy_from_slice(&n.to_be_bytes());
            member.write(Message::binary(payload)).unwrap();
        }
        member.flush().unwrap();
    }
    for member in &mut members {
        let mut expected = [0_u16; 8];
        for _ in 0..8 * 300 {
            let payload = next(member).into_data();
            let sender = usize::from(payload[0]);
            assert_eq!(u16::from_be_bytes([payload[1], payload[2]]), expected[sender]);
            expected[sender] += 1;
        }
    }
}

#[test]
fn large_messages_are_broadcast_whole() {
    let server = Server::start(&["--threads", "2"]);
    let mut members: Vec<Client> = (0..6).map(|_| server.connect("/broadcast")).collect();
    for n in 0..5 {
        let message = Message::binary(bytes(1 << 20, n));
        members[usize::from(n)].send(message.clone()).unwrap();
        for member in &mut members {
            assert!(next(member) == message, "message {n}");
        }
    }
}

#[test]
fn a_slow_member_is_closed_with_1008_and_holds_nobody_up() {
    let server = Server::start(&["--threads", "2", "--max-pending", "64k"]);
    // A small receive buffer, so that the kernel takes little on behalf of who does not read.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.addr.into()).unwrap();
    let (mut slow, _) = server.ask_on(socket.into(), "/broadcast", &[]).unwrap();
    let mut members: Vec<Client> = (0..4).map(|_| server.connect("/broadcast")).collect();
    // 8 MiB: far more than the mark and both kernel buffers together.
    for n in 0..=255 {
        let message = Message::binary(bytes(32 << 10, n));
        members[0].send(message.clone()).unwrap();
        for member in &mut members {
            assert!(next(member) == message, "message {n}");
        }
    }
    let frame = closed(&mut slow);
    assert_eq!(frame.code, CloseCode::Policy, "{frame:?}");
    drop(slow);
    eventually("it is counted", || {
        server.metric("plimsoll_connections_ended_total", "\"slow\"") > 0.0
    });
    members[1].send(Message::text("still here")).unwrap();
    assert_eq!(next(&mut members[3]), Message::text("still here"));
}

#[test]
fn refusals_name_their_reason() {
    let server = Server::start(&["--allow-origin", "https://a.example,https://b.example:8443"]);
    let answer = Server::http(server.addr, "/echo");
    assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{answer}");
    assert!(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{answer}");
    for path in ["/nothing", "/broadcast/", "/connection/websocket"] {
        let (status, body) = server.refused(path, &[]);
        assert_eq!((status, body.contains(path)), (StatusCode::NOT_FOUND, true), "{body}");
    }
    let (status, body) = server.refused("/", &[("Origin", "https://evil.example")]);
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(body.contains("https://evil.example") && body.contains("--allow-origin"), "{body}");
    assert!(server.ask("/", &[("Origin", "https://B.example:8443")]).is_ok());
    assert!(server.ask("/", &[]).is_ok(), "who is no browser has no origin");
}

#[test]
fn a_subprotocol_is_the_servers_first_that_is_offered() {
    let server = Server::start(&["--subprotocol", "v2.x,v1.x"]);
    let agreed = |offer: &str| {
        let (_, response) = server.ask("/", &[("Sec-WebSocket-Protocol", offer)]).ok()?;
        Some(response.headers().get("Sec-WebSocket-Protocol")?.to_str().unwrap().to_owned())
    };
    assert_eq!(agreed("v1.x, v2.x").as_deref(), Some("v2.x"));
    assert_eq!(agreed("other, v1.x").as_deref(), Some("v1.x"));
}

#[test]
fn a_full_server_says_so_and_takes_others_when_it_is_not() {
    let server = Server::start(&["--max-connections", "2"]);
    let first = server.connect("/");
    let mut second = server.connect("/");
    let (status, body) = server.refused("/", &[]);
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("2 connections (--max-connections)"), "{body}");
    drop(first);
    eventually("there is room again", || server.ask("/", &[]).is_ok());
    second.send(Message::text("untouched")).unwrap();
    assert_eq!(next(&mut second), Message::text("untouched"));
    assert!(server.metric("plimsoll_upgrades_refused_total", "") >= 1.0);
}

#[test]
fn the_admin_port_tells_health_and_numbers() {
    let server = Server::start(&["--threads", "2"]);
    let mut client = server.connect("/");
    for _ in 0..10 {
        client.send(Message::text("12345")).unwrap();
        next(&mut client);
    }
    assert!(Server::http(server.admin, "/healthz").starts_with("HTTP/1.1 200 "));
    assert!(Server::http(server.admin, "/readyz").starts_with("HTTP/1.1 200 "));
    assert!(Server::http(server.admin, "/").contains("<title>Plimsoll</title>"));
    assert!(Server::http(server.admin, "/other").starts_with("HTTP/1.1 404 "));
    eventually("the messages are counted", || {
        server.metric("plimsoll_messages_received_total", "") == 10.0
            && server.metric("plimsoll_messages_sent_total", "") == 10.0
    });
    assert_eq!(server.metric("plimsoll_connections_open", ""), 1.0);
    // 10 frames of 5 bytes and 6 of header, and the request.
    assert!(server.metric("plimsoll_received_bytes_total", "") > 110.0 + 100.0);
    let page = Server::http(server.admin, "/metrics");
    assert!(page.contains("\nprocess_resident_memory_bytes "), "{page}");
}

#[test]
fn dead_peers_are_found_by_pings_and_idle_ones_by_their_silence() {
    let server = Server::start(&["--ping-interval", "250ms", "--pong-timeout", "250ms"]);
    let mut alive = server.connect("/");
    let dead = server.connect("/");
    assert!(matches!(alive.read().unwrap(), Message::Ping(_)));
    eventually("the dead one is dropped", || {
        alive.flush().unwrap();
        let _ = alive.get_ref().set_read_timeout(Some(Duration::from_millis(50)));
        let _ = alive.read();
        server.metric("plimsoll_connections_ended_total", "pong_timeout") > 0.0
    });
    drop(dead);
    assert_eq!(server.metric("plimsoll_connections_open", ""), 1.0, "the other one lives");

    let server = Server::start(&["--idle-timeout", "300ms"]);
    let frame = closed(&mut server.connect("/"));
    assert_eq!(frame.code, CloseCode::Away, "{frame:?}");
}

#[test]
fn sigterm_drains_with_1001() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::start(&["--threads", "2"]);
        let clients: Vec<Client> = (0..20).map(|_| server.connect("/")).collect();
        server.signal(signal);
        for mut client in clients {
            let frame = closed(&mut client);
            assert_eq!(frame.code, CloseCode::Away, "{frame:?}");
            assert!(matches!(client.read(), Err(Error::ConnectionClosed)));
        }
        assert_eq!(server.ends(), Some(0));
    }
}

/// A signal handler writes to a descriptor by its number, which on a shard is a client's socket.
#[test]
fn no_shard_can_run_a_signal_handler() {
    let server = Server::start(&["--threads", "3"]);
    let tasks = format!("/proc/{}/task", server.child.id());
    let mut shards = 0;
    for task in std::fs::read_dir(tasks).unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
        let blocked = u64::from_str_radix(field("SigBlk:"), 16).unwrap();
        let is_shard = field("Name:").starts_with("plimsoll-");
        let is_main = field("Pid:") == server.child.id().to_string();
        for signal in [Signal::TERM, Signal::INT] {
            let blocks = blocked & 1 << (signal.as_raw() - 1) != 0;
            assert!(blocks || !is_shard, "{signal:?} on {}", field("Name:"));
            assert!(!blocks || !is_main, "nobody takes {signal:?}");
        }
        shards += u32::from(is_shard);
    }
    assert_eq!(shards, 3);
}

#[test]
fn a_drain_ends_at_its_timeout_and_says_it_is_not_ready_meanwhile() {
    let server = Server::start(&["--drain-timeout", "1s", "--close-timeout", "1m"]);
    // It never reads, so it never answers the close.
    let silent = server.connect("/");
    let begin = Instant::now();
    server.signal(Signal::TERM);
    eventually("it is not ready", || {
        Server::http(server.admin, "/readyz").starts_with("HTTP/1.1 503 ")
    });
    assert!(Server::http(server.admin, "/healthz").starts_with("HTTP/1.1 200 "));
    let addr = server.addr;
    eventually("the port is closed", || TcpStream::connect(addr).is_err());
    assert_eq!(server.ends(), Some(0));
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}");
    drop(silent);
}

#[test]
fn a_second_signal_stops_at_once() {
    let server = Server::start(&["--drain-timeout", "1h", "--close-timeout", "1h"]);
    let silent = server.connect("/");
    server.signal(Signal::INT);
    eventually("it drains", || Server::http(server.admin, "/readyz").starts_with("HTTP/1.1 503 "));
    server.signal(Signal::INT);
    assert_eq!(server.ends(), Some(0));
    drop(silent);
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command(arguments).output().unwrap();
    assert_eq!(String::from_utf8(stdout).unwrap(), "", "nothing is announced");
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn what_can_not_start_says_why_and_what_to_do() {
    let (code, text) = run(&["--max-message", "12x"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--max-message '12x'") && text.contains("such as 256KiB"), "{text}");
    let (code, text) = run(&["--log", "=="]);
    assert_eq!((code, text.contains("--log '=='")), (Some(2), true), "{text}");
    let (code, text) = run(&["--threads", "1", "--max-connections", "1000000000"]);
    assert_eq!((code, text.contains("--max-connections")), (Some(2), true), "{text}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (code, text) = run(&["--listen", &addr, "--admin", "off"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&addr) && text.contains("--listen"), "{text}");
    let (code, text) = run(&["--listen", "127.0.0.1:0", "--admin", &addr]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&addr) && text.contains("--admin off"), "{text}");
    let (code, text) =
        run(&["--listen", "127.0.0.1:0", "--admin", "off", "--congestion", "nosuch"]);
    assert_eq!((code, text.contains("--congestion 'nosuch'")), (Some(1), true), "{text}");
    let (code, text) = run(&["--listen", "192.0.2.1:9001", "--admin", "off"]);
    assert_eq!((code, text.contains("no such address")), (Some(1), true), "{text}");
}

#[test]
fn options_come_from_the_environment_too() {
    let mut command = command(&[]);
    let output = command.env("PLIMSOLL_MAX_MESSAGE", "huge").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("--max-message 'huge'"), "{text}");
}
