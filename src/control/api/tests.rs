//! The API over a real socket, against a hub of a few lines.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::auth::ApiKey;
use crate::calls::{Answer, Ask, Call, Denied, Load, Member, Outcome, Position, Publication, home};
use crate::conn::Tally;
use crate::control::{Control, Facts, Keyed, Shards, start};
use crate::shard::Counters;

const KEY: &str = "k3y";
const SHARDS: usize = 3;

/// What the hubs were asked: shard and question.
type Asked = Arc<Mutex<Vec<(usize, Ask)>>>;

/// A server whose hubs answer each question by `answer`, and what they were asked.
fn api(answer: impl Fn(usize, &Ask) -> Outcome + Send + Sync + 'static) -> (Control, Asked) {
    let asked = Asked::default();
    let told = Arc::clone(&asked);
    let send = move |shard, Call { ask, reply }| {
        reply.send(answer(shard, &ask));
        told.lock().unwrap().push((shard, ask));
        Ok(())
    };
    let shards = Shards { count: SHARDS, send: Arc::new(send) };
    (serve(Some(Keyed { key: ApiKey::new(KEY), shards })), asked)
}

fn serve(api: Option<Keyed>) -> Control {
    let facts = Facts {
        name: "none".to_owned(),
        listen: "127.0.0.1:9001".parse().unwrap(),
        counters: (0..SHARDS).map(|_| Counters::default()).collect(),
        blocks: Tally::default(),
        draining: Arc::new(AtomicBool::new(false)),
        started: Instant::now(),
        max_connections: 10,
        max_buffered: 1 << 20,
    };
    start(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))), facts, api, None).unwrap()
}

/// One request as it is written; status and body.
fn exchange(control: &Control, request: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(control.addr().unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let status = answer[9..12].parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

fn with_head(control: &Control, method: &str, head: &str, body: &str) -> (u16, String) {
    let length = body.len();
    exchange(
        control,
        &format!(
            "POST /api/{method} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\
             Content-Length: {length}\r\n\r\n{body}"
        ),
    )
}

fn post(control: &Control, method: &str, body: &str) -> (u16, Value) {
    let (status, body) = with_head(control, method, "X-API-Key: k3y\r\n", body);
    (status, serde_json::from_str(&body).unwrap())
}

#[test]
fn only_the_key_opens() {
    let (control, asked) = api(|_, _| Ok(Answer::Published(None)));
    let body = r#"{"channel":"a","data":1}"#;
    let status = |head: &str| with_head(&control, "publish", head, body).0;
    for good in
        ["X-API-Key: k3y\r\n", "Authorization: apikey k3y\r\n", "authorization: ApiKey k3y\r\n"]
    {
        assert_eq!(status(good), 200, "{good}");
    }
    assert_eq!(asked.lock().unwrap().len(), 3);
    for bad in [
        "",
        "X-API-Key: k3\r\n",
        "X-API-Key: \r\n",
        "X-API-Key: no\r\nAuthorization: apikey k3y\r\n",
        "Authorization: k3y\r\n",
        "Authorization: Bearer k3y\r\n",
        "Authorization: apikey  k3y\r\n",
    ] {
        let (status, text) = with_head(&control, "publish", bad, body);
        assert_eq!(status, 401, "{bad}");
        assert!(text.contains("X-API-Key") && !text.contains("k3y"), "{text}");
    }
    assert_eq!(with_head(&control, "nothing", "", "").0, 401, "whoever asks, whatever for");
    assert_eq!(asked.lock().unwrap().len(), 3, "nobody else reached the hub");
}

#[test]
fn without_a_key_there_is_no_api() {
    let control = serve(None);
    let (status, text) = with_head(&control, "publish", "X-API-Key: k3y\r\n", "{}");
    assert_eq!(status, 404);
    assert!(text.contains("--api-key"), "{text}");
}

#[test]
fn requests_that_are_none_are_told_why() {
    let (control, asked) = api(|_, _| Ok(Answer::Done));
    let key = "X-API-Key: k3y\r\n";
    let get = format!("GET /api/info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{key}\r\n");
    assert_eq!(exchange(&control, &get).0, 405);
    let typed = |kind: &str, body: &str| {
        with_head(&control, "info", &format!("{key}Content-Type: {kind}\r\n"), body)
    };
    assert_eq!(typed("text/xml", "{}").0, 415);
    assert_eq!(typed("multipart/form-data; boundary=x", "{}").0, 415);
    assert_eq!(typed("application/json; charset=utf-8", "{}").0, 200);
    assert_eq!(typed("application/x-www-form-urlencoded", "{}").0, 200, "as curl sends it");
    let (status, body) = typed("application/json", "{\"a\":");
    assert!(status == 400 && body.contains("column 5"), "{status} {body}");
    assert_eq!(typed("application/json", "[]").0, 400);
    let (status, body) = post(&control, "publsh", "{}");
    assert!(status == 404 && body["error"]["message"].as_str().unwrap().contains("publish,"));
    assert_eq!(post(&control, "a/b", "{}").0, 404);
    let big = format!(
        "POST /api/info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{key}\
        Content-Length: 5000000\r\n\r\n"
    );
    assert_eq!(exchange(&control, &big).0, 413);
    // The two that were taken asked each shard.
    assert_eq!(asked.lock().unwrap().len(), 2 * SHARDS);
}

#[test]
fn a_publication_goes_to_its_rooms_home_on_one_line() {
    let position = Some(Position { offset: 7, epoch: "x".into() });
    let (control, asked) = api(move |_, _| Ok(Answer::Published(position.clone())));
    let body =
        "{\"channel\":\"chat:1\",\"data\":{\n\"text\": 1e400 },\"skip_history\":true,\"tags\":{}}";
    let (status, answer) = post(&control, "publish", body);
    assert_eq!((status, answer), (200, json!({"result": {"offset": 7, "epoch": "x"}})));
    let ask = Ask::Publish {
        channel: "chat:1".into(),
        data: "{ \"text\": 1e400 }".into(),
        skip_history: true,
    };
    assert_eq!(*asked.lock().unwrap(), [(home("chat:1", SHARDS), ask)]);
}

#[test]
fn mistakes_in_a_body_are_bad_requests_that_name_the_member() {
    let (control, asked) = api(|_, _| Ok(Answer::Done));
    let cases = [
        ("publish", r#"{"data":1}"#, "channel is missing"),
        ("publish", r#"{"channel":"","data":1}"#, "channel is empty"),
        ("publish", r#"{"channel":"a"}"#, "data is missing"),
        ("publish", r#"{"channel":"a","data":1,"b64data":"AA=="}"#, "b64data is binary"),
        ("publish", r#"{"channel":"a","data":1,"idempotency_key":"x"}"#, "idempotency_key is not"),
        ("broadcast", r#"{"channels":[],"data":1}"#, "channels is empty"),
        ("broadcast", r#"{"channels":["a",""],"data":1}"#, "channels is empty"),
        ("broadcast", r#"{"channels":"a","data":1}"#, "channels is not a list"),
        ("disconnect", r#"{"client":"c"}"#, "user is missing"),
        ("disconnect", r#"{"user":"u","disconnect":{"code":1000,"reason":""}}"#, "disconnect.code"),
        ("disconnect", r#"{"user":"u","disconnect":{"code":4000}}"#, "disconnect is not"),
        ("unsubscribe", r#"{"user":"u"}"#, "channel is missing"),
        ("subscribe", r#"{"user":"u","channel":"a","session":"s"}"#, "session is not supported"),
        ("presence", "", "channel is missing"),
        ("history", r#"{"channel":"a","limit":"1"}"#, "limit is not a whole number"),
        ("history", r#"{"channel":"a","since":{"offset":1}}"#, "since is not an object"),
        ("channels", r#"{"pattern":1}"#, "pattern is not a string"),
    ];
    for (method, body, message) in cases {
        let (status, answer) = post(&control, method, body);
        assert_eq!((status, &answer["error"]["code"]), (200, &json!(107)), "{method} {body}");
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(said.starts_with("bad request: ") && said.contains(message), "{said}: {message}");
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[test]
fn a_broadcast_answers_for_each_room() {
    let (control, asked) = api(|_, ask| match ask {
        Ask::Publish { channel, .. } if &**channel == "no:1" => Err(Denied::UnknownChannel),
        _ => Ok(Answer::Published(None)),
    });
    let (status, answer) =
        post(&control, "broadcast", r#"{"channels":["a","no:1","b"],"data":{}}"#);
    let no = json!({"error": {"code": 102, "message": "unknown channel"}});
    let yes = json!({"result": {}});
    assert_eq!((status, answer), (200, json!({"result": {"responses": [yes, no, yes]}})));
    let shards: Vec<usize> = asked.lock().unwrap().iter().map(|(shard, _)| *shard).collect();
    assert_eq!(shards, ["a", "no:1", "b"].map(|name| home(name, SHARDS)));
}

#[test]
fn users_are_looked_for_on_every_shard() {
    let (control, asked) = api(|_, _| Ok(Answer::Reached(1)));
    let empty = (200, json!({"result": {}}));
    assert_eq!(post(&control, "disconnect", r#"{"user":"u","whitelist":["c"]}"#), empty);
    let body = r#"{"user":"u","client":"c","disconnect":{"code":4000,"reason":"bye"}}"#;
    assert_eq!(post(&control, "disconnect", body), empty);
    assert_eq!(post(&control, "unsubscribe", r#"{"user":"u","channel":"a"}"#), empty);
    assert_eq!(post(&control, "subscribe", r#"{"user":"u","channel":"a","info":{}}"#), empty);
    let asked = asked.lock().unwrap();
    let expected = [
        Ask::Disconnect {
            user: "u".into(),
            client: None,
            except: vec!["c".into()],
            code: 3503,
            reason: "force disconnect".into(),
        },
        Ask::Disconnect {
            user: "u".into(),
            client: Some("c".into()),
            except: Vec::new(),
            code: 4000,
            reason: "bye".into(),
        },
        Ask::Unsubscribe { user: "u".into(), channel: "a".into(), client: None },
        Ask::Subscribe {
            user: "u".into(),
            channel: "a".into(),
            client: None,
            info: Some("{}".into()),
        },
    ];
    for (nth, ask) in expected.iter().enumerate() {
        for shard in 0..SHARDS {
            assert_eq!(asked[nth * SHARDS + shard], (shard, ask.clone()));
        }
    }
}

fn member(client: &str, info: Option<&str>) -> Member {
    Member {
        client: client.into(),
        user: "u".into(),
        conn_info: info.map(Box::from),
        chan_info: None,
    }
}

#[test]
fn presence_and_history_are_as_centrifugo_shows_them() {
    let (control, asked) = api(|_, ask| match ask {
        Ask::Presence { .. } => {
            Ok(Answer::Presence(vec![member("c2", None), member("c1", Some(r#"{"name":"A"}"#))]))
        }
        Ask::PresenceStats { .. } => Ok(Answer::PresenceStats { clients: 2, users: 1 }),
        Ask::History { .. } => Ok(Answer::History {
            publications: vec![Publication {
                offset: 3,
                data: r#"{"n":1.0}"#.into(),
                info: Some(member("c1", None)),
            }],
            top: Position { offset: 3, epoch: "e".into() },
        }),
        _ => Ok(Answer::Done),
    });
    let room = r#"{"channel":"a"}"#;
    let presence = json!({"presence": {
        "c1": {"client": "c1", "user": "u", "conn_info": {"name": "A"}},
        "c2": {"client": "c2", "user": "u"},
    }});
    assert_eq!(post(&control, "presence", room).1, json!({"result": presence}));
    let stats = json!({"result": {"num_clients": 2, "num_users": 1}});
    assert_eq!(post(&control, "presence_stats", room).1, stats);
    let history = json!({
        "publications": [{"offset": 3, "data": {"n": 1.0}, "info": {"client": "c1", "user": "u"}}],
        "epoch": "e",
        "offset": 3,
    });
    assert_eq!(post(&control, "history", room).1, json!({"result": history}));
    let body = r#"{"channel":"a","limit":-1,"since":{"offset":2,"epoch":"e"},"reverse":true}"#;
    assert_eq!(post(&control, "history", body).1, json!({"result": history}));
    assert_eq!(post(&control, "history_remove", room).1, json!({"result": {}}));
    let asked = asked.lock().unwrap();
    let channel: Box<str> = "a".into();
    let plain =
        Ask::History { channel: channel.clone(), limit: Some(0), since: None, reverse: false };
    assert_eq!(asked[2].1, plain, "without a limit only the position is asked for");
    let since = Some(Position { offset: 2, epoch: "e".into() });
    assert_eq!(asked[3].1, Ask::History { channel, limit: None, since, reverse: true });
    assert!(asked.iter().all(|(shard, _)| *shard == home("a", SHARDS)));
}

#[test]
fn channels_and_loads_are_gathered_over_the_shards() {
    let (control, _) = api(|shard, ask| match ask {
        Ask::Channels { pattern } => {
            assert_eq!(pattern.as_deref(), Some("a*"));
            let own = (format!("a{shard}").into(), 1);
            Ok(Answer::Channels(vec![("all".into(), shard as u64 + 1), own]))
        }
        Ask::Info => Ok(Answer::Info(Load { clients: shard as u64, ..Load::default() })),
        _ => Ok(Answer::Done),
    });
    let channels = post(&control, "channels", r#"{"pattern":"a*"}"#).1;
    let one = json!({"num_clients": 1});
    assert_eq!(
        channels["result"]["channels"],
        json!({"a0": one, "a1": one, "a2": one, "all": {"num_clients": 6}})
    );
    let nodes = post(&control, "info", "").1["result"]["nodes"].clone();
    assert_eq!(nodes.as_array().unwrap().len(), SHARDS);
    assert_eq!((&nodes[2]["num_clients"], &nodes[2]["name"]), (&json!(2), &json!("plimsoll-2")));
}

#[test]
fn what_the_hub_denies_or_can_not_answer_is_an_error_of_its_own() {
    let (control, _) = api(|_, ask| match ask {
        Ask::Presence { .. } => Err(Denied::NotAvailable),
        Ask::History { .. } => Err(Denied::UnrecoverablePosition),
        _ => Ok(Answer::Done),
    });
    let error = |method: &str, body: &str| post(&control, method, body).1["error"].clone();
    let room = r#"{"channel":"a"}"#;
    assert_eq!(error("presence", room), json!({"code": 108, "message": "not available"}));
    assert_eq!(error("history", room)["code"], json!(112));
    let wrong = json!({"code": 100, "message": "internal server error"});
    for method in ["presence_stats", "channels", "info"] {
        let body = if method == "presence_stats" { room } else { "" };
        assert_eq!(error(method, body), wrong, "{method}: an answer of another kind");
    }
}
