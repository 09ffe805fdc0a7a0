//! Who may: the built program with keys and a file, over real sockets; what it says where it
//! refuses, and that no secret or token gets out. The protocol itself is tested in `src/hub`, the
//! libraries that speak it by `scripts/clients`.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::{HandshakeError, Message, WebSocket};

const SECRET: &str = "a-secret-that-nobody-may-ever-see";
const API_KEY: &str = "an-api-key-that-nobody-may-ever-see";
const ORIGIN: &str = "https://chat.example";
/// No answer takes so long; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file that is gone with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("plimsoll-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The program with the secrets in its environment, killed with the test.
struct Program {
    child: Child,
    addr: SocketAddr,
    admin: SocketAddr,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command
        .args(arguments)
        .env("PLIMSOLL_TOKEN_HMAC_SECRET", SECRET)
        .env("PLIMSOLL_API_KEY", API_KEY)
        .env("PLIMSOLL_LOG", "trace");
    command
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        Self::spawn(command(arguments))
    }

    fn spawn(mut command: Command) -> Self {
        // The admin port is free now and, a moment later, most probably still.
        let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = command
            .args(["--listen", "127.0.0.1:0", "--threads", "2", "--admin", &admin.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line.strip_prefix("listening on ws://").and_then(|rest| rest.split_once(' '));
        let addr = addr.unwrap_or_else(|| panic!("not the line: {line:?}")).0.parse().unwrap();
        Self { child, addr, admin }
    }

    /// A connection with these header fields, or the status that it is refused with.
    fn connect(&self, fields: &[(&'static str, &str)]) -> Result<Client, u16> {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let url = format!("ws://{}/connection/websocket", self.addr);
        let mut request = url.into_client_request().unwrap();
        for (name, value) in fields {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Client { socket, left: Vec::new() }),
            Err(HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                Err(answer.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn api(&self, key: &str, method: &str, body: &Value) -> (u16, Value) {
        let mut socket = TcpStream::connect(self.admin).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let (body, host) = (body.to_string(), self.admin);
        let length = body.len();
        write!(
            socket,
            "POST /api/{method} HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
    }

    /// Ends it, and gives all it has logged.
    fn log(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(self.child.wait().unwrap().success(), "{log}");
        log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client {
    socket: WebSocket<TcpStream>,
    /// Replies of one frame that are not looked at yet.
    left: Vec<Value>,
}

impl Client {
    /// The next reply or push, pings answered; `Err` is the code that the server closes with.
    fn next(&mut self) -> Result<Value, u16> {
        loop {
            if !self.left.is_empty() {
                let reply = self.left.remove(0);
                if reply != json!({}) {
                    return Ok(reply);
                }
                self.socket.send(Message::text("{}")).unwrap();
                continue;
            }
            match self.socket.read().unwrap() {
                Message::Text(text) => {
                    let replies = text.lines().map(|line| serde_json::from_str(line).unwrap());
                    self.left = replies.collect();
                }
                Message::Close(frame) => return Err(frame.map_or(1005, |f| f.code.into())),
                _ => {}
            }
        }
    }

    fn ask(&mut self, command: &Value) -> Result<Value, u16> {
        self.socket.send(Message::text(command.to_string())).unwrap();
        self.next()
    }

    /// The user, as others see it, once connected by what the head offered.
    fn joins(&mut self, connect: &Value) -> Result<Value, u16> {
        let reply = self.ask(&json!({"id": 1, "connect": connect}))?;
        assert!(reply["connect"]["client"].is_string(), "{reply}");
        self.ask(&json!({"id": 2, "subscribe": {"channel": "chat:1"}}))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn token(secret: &str, claims: &Value) -> String {
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let message =
        format!("{}.{}", encode(br#"{"alg":"HS256"}"#), encode(claims.to_string().as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("{message}.{}", encode(hmac::sign(&key, message.as_bytes()).as_ref()))
}

fn anns() -> String {
    token(SECRET, &json!({"sub": "ann", "exp": now() + 600}))
}

const FILE: &str = r#"
token-cookie = "token"
allow-origin = "https://chat.example"

[[namespace]]
name = "chat"
presence = true
history_size = 10
history_ttl = "1m"
allow_subscribe_for_client = true
"#;

#[test]
fn a_token_comes_by_command_header_cookie_or_subprotocol() {
    let file = Scratch::new("sources.toml", FILE);
    let program = Program::start(&["--config", file.path()]);
    let good = anns();
    let ways: [(&[(&'static str, &str)], Value); 4] = [
        (&[], json!({"token": good})),
        (&[("Authorization", &format!("Bearer {good}"))], json!({})),
        (&[("Cookie", &format!("a=b; token={good}")), ("Origin", ORIGIN)], json!({})),
        (&[("Sec-WebSocket-Protocol", &format!("bearer, {good}"))], json!({})),
    ];
    for (fields, connect) in &ways {
        let mut client = program.connect(fields).unwrap();
        let joined = client.joins(connect).unwrap();
        assert!(joined["subscribe"].is_object(), "{connect} {joined}");
        let presence = client.ask(&json!({"id": 3, "presence": {"channel": "chat:1"}})).unwrap();
        assert_eq!(presence["error"]["code"], json!(103), "nobody may see who is there");
        let (status, seen) = program.api(API_KEY, "presence", &json!({"channel": "chat:1"}));
        let members = seen["result"]["presence"].as_object().unwrap();
        assert!(members.values().any(|member| member["user"] == "ann"), "{status} {seen}");
    }
    assert_eq!(program.connect(&[("Origin", "https://evil.example")]).err(), Some(403));
}

#[test]
fn wrong_tokens_are_refused_and_nothing_of_them_is_logged() {
    let file = Scratch::new("refused.toml", FILE);
    let program = Program::start(&["--config", file.path()]);
    let marker = "markermarkermarker";
    let wrong = [
        token("another secret", &json!({"sub": marker})),
        token(SECRET, &json!({"sub": marker, "channel": "chat:1"})),
        token(SECRET, &json!({"sub": [marker]})),
        marker.to_owned(),
        format!("{marker}.{marker}.{marker}"),
        marker.repeat(450),
    ];
    for text in &wrong {
        let mut client = program.connect(&[]).unwrap();
        assert_eq!(client.joins(&json!({"token": text})), Err(3500), "{text}");
    }
    let expired = token(SECRET, &json!({"sub": marker, "exp": now() - 1}));
    let mut client = program.connect(&[]).unwrap();
    let told = client.ask(&json!({"id": 1, "connect": {"token": expired}})).unwrap();
    assert_eq!(told["error"]["code"], json!(109), "{told}");
    let bearer = format!("Bearer {}", wrong[0]);
    let mut client = program.connect(&[("Authorization", &bearer)]).unwrap();
    assert_eq!(client.joins(&json!({})), Err(3500));
    let mut client = program.connect(&[]).unwrap();
    let none = client.ask(&json!({"id": 1, "connect": {}}));
    assert!(none.is_err() || none.unwrap()["error"]["code"] == json!(101), "no token, no room");
    assert_eq!(program.api("a wrong key of the API", "info", &json!({})).0, 401);
    let log = program.log();
    let encoded = BASE64_URL_SAFE_NO_PAD.encode(marker);
    for hidden in [marker, &encoded[..16], &wrong[0][30..60], SECRET, API_KEY, "a wrong key"] {
        assert!(!log.contains(hidden), "{hidden}: {log}");
    }
}

#[test]
fn the_api_reaches_rooms_on_every_shard() {
    let file = Scratch::new("api.toml", FILE);
    let program = Program::start(&["--config", file.path()]);
    let mut clients: Vec<Client> = (0..8)
        .map(|_| {
            let mut client = program.connect(&[]).unwrap();
            let joined = client.joins(&json!({"token": anns()})).unwrap();
            assert!(joined["subscribe"].is_object(), "{joined}");
            client
        })
        .collect();
    let published = program.api(
        API_KEY,
        "publish",
        &json!({"channel": "chat:1", "data": {"text": "hi\n\u{e9}"}}),
    );
    assert_eq!((published.0, &published.1["result"]["offset"]), (200, &json!(1)));
    for client in &mut clients {
        let push = client.next().unwrap()["push"].clone();
        assert_eq!(push["pub"]["data"], json!({"text": "hi\n\u{e9}"}));
    }
    let answer =
        |method: &str, body: Value| program.api(API_KEY, method, &body).1["result"].clone();
    let history = answer("history", json!({"channel": "chat:1", "limit": 10}));
    assert_eq!(history["publications"][0]["data"], json!({"text": "hi\n\u{e9}"}));
    assert_eq!(history["epoch"], published.1["result"]["epoch"]);
    let stats = answer("presence_stats", json!({"channel": "chat:1"}));
    assert_eq!(stats, json!({"num_clients": 8, "num_users": 1}));
    let channels = answer("channels", json!({}));
    assert_eq!(channels["channels"], json!({"chat:1": {"num_clients": 8}}));
    let nodes = answer("info", json!({}))["nodes"].clone();
    let held = nodes.as_array().unwrap().iter().map(|node| node["num_clients"].as_u64().unwrap());
    assert_eq!((nodes.as_array().unwrap().len(), held.sum::<u64>()), (2, 8));
    let body = json!({"channels": ["chat:1", "nowhere:1"], "data": 1});
    let responses = answer("broadcast", body)["responses"].clone();
    assert_eq!(responses[0]["result"]["offset"], json!(2));
    assert_eq!(responses[1]["error"]["code"], json!(102));
    // A close does not wait for what other shards still have to deliver.
    for client in &mut clients {
        assert_eq!(client.next().unwrap()["push"]["pub"]["data"], json!(1));
    }
    let close = json!({"code": 4321, "reason": "enough"});
    assert_eq!(answer("disconnect", json!({"user": "ann", "disconnect": close})), json!({}));
    for client in &mut clients {
        assert_eq!(client.next(), Err(4321));
    }
}

#[test]
fn without_a_key_or_leave_there_are_no_rooms() {
    let bare = |arguments: &[&str]| {
        let mut command = command(arguments);
        command.env_remove("PLIMSOLL_TOKEN_HMAC_SECRET").env_remove("PLIMSOLL_API_KEY");
        command
    };
    let program = Program::spawn(bare(&[]));
    assert_eq!(program.connect(&[]).err(), Some(404));
    let (status, told) = program.api(API_KEY, "info", &json!({}));
    assert!(status == 404 && told.to_string().contains("--api-key"), "{status} {told}");
    let program = Program::spawn(bare(&["--rooms-open"]));
    let mut client = program.connect(&[]).unwrap();
    let connected = client.ask(&json!({"id": 1, "connect": {}})).unwrap();
    assert!(connected["connect"]["client"].is_string(), "{connected}");
    let output = bare(&["--listen", "0.0.0.0:0", "--rooms-open"]).output().unwrap();
    refuses(&output, &["--rooms-open '0.0.0.0:0'", "--i-know"]);
}

fn refuses(output: &Output, words: &[&str]) {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!said.contains(SECRET) && !said.contains(API_KEY), "{said}");
}

#[test]
fn what_is_wrong_with_a_file_or_a_key_is_said_before_it_starts() {
    let bad = Scratch::new("bad.toml", "listen = \"127.0.0.1:0\"\nmax-mesage = 5\n");
    let hush = Scratch::new(
        "hush.toml",
        &format!("api-key = \"{API_KEY}\ntoken-hmac-secret = \"{SECRET}\""),
    );
    let text = Scratch::new("no.pem", "hello");
    let cases: [(&[&str], &[&str]); 6] = [
        (&["--config", bad.path()], &["bad.toml: max_mesage", "no option has this name"]),
        (&["--config", hush.path()], &["hush.toml:1", "not TOML"]),
        (&["--config", "/no/such/file"], &["--config '/no/such/file'", "can not be read"]),
        (&["--token-public-key", text.path()], &["no.pem", "not PEM"]),
        (&["--token-jwks", text.path()], &["no.pem", "JSON object with keys"]),
        (&["--admin", "off"], &["--api-key 'not shown'", "--admin"]),
    ];
    for (arguments, words) in cases {
        let output = command(&["--listen", "127.0.0.1:0"]).args(arguments).output().unwrap();
        refuses(&output, words);
    }
    let help = command(&["--help"]).output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    assert!(help.contains("--token-hmac-secret") && !help.contains(SECRET), "{help}");
    assert!(!help.contains(API_KEY));
}
