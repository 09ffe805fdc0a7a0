//! Each command's reply, each error and each close code, to the letter.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use super::world::{World, open};
use crate::auth::{Key, Rules, Verifier};
use crate::calls::{self, Answer, Call, Denied, Reply};
use crate::hub::namespace::{Allow, Namespace, Namespaces};
use crate::hub::rooms::RoomsSettings;
use crate::limits;

fn rooms() -> World {
    World::new(2, 8, open(Namespace::open()))
}

/// The value of a text field, wherever it stands.
fn field(line: &str, name: &str) -> String {
    let start = line.find(&format!("\"{name}\":\"")).unwrap() + name.len() + 4;
    line[start..].split('"').next().unwrap().to_owned()
}

/// A message of its own, said by whoever is on shard 0.
fn said(world: &mut World, id: u32, message: &str) -> String {
    let mut lines = world.ask(id, message);
    assert_eq!(lines.len(), 1, "{message}: {lines:?}");
    lines.remove(0)
}

fn error(id: u32, code: u32, message: &str) -> String {
    format!("{{\"id\":{id},\"error\":{{\"code\":{code},\"message\":\"{message}\"}}}}")
}

#[test]
fn in_and_out_and_all_between() {
    let mut world = rooms();
    let (ann, bob) = (world.connect(0), world.connect(1));
    let reply = said(&mut world, ann, r#"{"id":2,"subscribe":{"channel":"chat"}}"#);
    let epoch = field(&reply, "epoch");
    assert_eq!(
        reply,
        format!(
            "{{\"id\":2,\"subscribe\":{{\"recoverable\":true,\"positioned\":true,\
             \"epoch\":\"{epoch}\",\"offset\":0}}}}"
        )
    );
    let reply = said(&mut world, bob, r#"{"id":3,"publish":{"channel":"chat","data":{"t": 1}}}"#);
    assert_eq!(reply, r#"{"id":3,"publish":{}}"#);
    let push = world.hear(ann).unwrap();
    let client = field(&push, "client");
    assert_eq!(
        push,
        format!(
            "{{\"push\":{{\"channel\":\"chat\",\"pub\":{{\"data\":{{\"t\": 1}},\
             \"info\":{{\"client\":\"{client}\"}},\"offset\":1}}}}}}"
        )
    );
    let history = said(&mut world, bob, r#"{"id":4,"history":{"channel":"chat","limit":10}}"#);
    assert_eq!(
        history,
        format!(
            "{{\"id\":4,\"history\":{{\"publications\":[{{\"data\":{{\"t\": 1}},\
             \"info\":{{\"client\":\"{client}\"}},\"offset\":1}}],\"epoch\":\"{epoch}\",\
             \"offset\":1}}}}"
        )
    );
    let bare = said(&mut world, bob, r#"{"id":5,"history":{"channel":"chat"}}"#);
    assert!(bare.contains("\"publications\":[]") && bare.contains("\"offset\":1"), "{bare}");
    let stats = said(&mut world, bob, r#"{"id":6,"presence_stats":{"channel":"chat"}}"#);
    assert_eq!(stats, r#"{"id":6,"presence_stats":{"num_clients":1,"num_users":1}}"#);
    let present = said(&mut world, bob, r#"{"id":7,"presence":{"channel":"chat"}}"#);
    let name = field(&present, "client");
    assert_eq!(
        present,
        format!(
            "{{\"id\":7,\"presence\":{{\"presence\":{{\"{name}\":{{\"client\":\"{name}\"}}}}}}}}"
        )
    );
    let reply = said(&mut world, ann, r#"{"id":8,"unsubscribe":{"channel":"chat"}}"#);
    assert_eq!(reply, r#"{"id":8,"unsubscribe":{}}"#);
    said(&mut world, bob, r#"{"id":9,"publish":{"channel":"chat","data":2}}"#);
    assert_eq!(world.hear(ann), None, "it is out");
    let reply = said(&mut world, ann, r#"{"id":9,"unsubscribe":{"channel":"chat"}}"#);
    assert_eq!(reply, r#"{"id":9,"unsubscribe":{}}"#, "twice is no sin");
    world.cut(ann);
    world.cut(bob);
    world.settle();
    world.assert_empty();
}

/// Once with its home on the client's shard, once on another.
#[test]
fn what_comes_behind_a_subscribe_waits_for_its_answer() {
    for channel in ["a", "b", "c", "d"] {
        let mut world = rooms();
        let ann = world.connect(0);
        let line = |id: u32, what: &str| {
            format!("{{\"id\":{id},\"{what}\":{{\"channel\":\"{channel}\"}}}}")
        };
        let steps = ["subscribe", "unsubscribe", "subscribe", "unsubscribe", "subscribe"];
        let all: Vec<String> = (2..).zip(steps).map(|(id, what)| line(id, what)).collect();
        world.say(ann, &all[..3].join("\n"));
        world.say(ann, &all[3]);
        world.say(ann, &format!("{}\n{{\"id\":7,\"ping\":{{}}}}\n", all[4]));
        for _ in 0..2 {
            world.say(ann, &"{\"send\":{}}\n".repeat(limits::COMMANDS_PER_MESSAGE));
        }
        world.settle();
        assert!(world.sockets.closed.is_empty());
        let lines = world.hear_all(ann);
        // The ping is about no room and waits for none.
        let ids = lines.iter().map(|line| &line[6..7]).filter(|id| *id != "7");
        assert!(ids.eq(["2", "3", "4", "5", "6"]), "{lines:?}");
        assert_eq!(lines.len(), 6);
        assert!(lines.iter().all(|line| !line.contains("error")), "{lines:?}");
        let stats = format!("{{\"id\":8,\"presence_stats\":{{\"channel\":\"{channel}\"}}}}");
        assert!(said(&mut world, ann, &stats).contains("\"num_clients\":1"));
        world.say(ann, &all[1]);
        world.say(ann, &all[0]);
        world.say(ann, &all[1]);
        world.turn(0, 0);
        world.cut(ann);
        world.settle();
        world.assert_empty();
    }
}

#[test]
fn rooms_by_the_thousand_that_nobody_is_in_are_bounded() {
    let settings = RoomsSettings { history_bytes: 1 << 20, ..open(Namespace::open()) };
    let mut world = World::new(1, 8, settings);
    let ann = world.connect(0);
    for n in 0..=limits::IDLE_ROOMS {
        world.say(
            ann,
            &format!("{{\"id\":2,\"publish\":{{\"channel\":\"{n}\",\"data\":\"{n:99}\"}}}}"),
        );
    }
    world.settle();
    let (homes, bytes) = world.shards[0].0.kept();
    assert_eq!(homes, limits::IDLE_ROOMS);
    assert!(bytes <= 1 << 20, "{bytes} bytes of histories");
}

#[test]
fn what_was_missed_is_recovered_or_said_to_be_gone() {
    let options = Namespace { history_size: 3, ..Namespace::open() };
    let mut world = World::new(2, 8, open(options));
    let (ann, bob) = (world.connect(0), world.connect(1));
    let epoch = field(&said(&mut world, ann, r#"{"id":2,"subscribe":{"channel":"c"}}"#), "epoch");
    world.cut(ann);
    for n in 1..=3 {
        world.ask(bob, &format!("{{\"id\":9,\"publish\":{{\"channel\":\"c\",\"data\":{n}}}}}"));
    }
    let recover = |world: &mut World, epoch: &str, offset: u64, more: &str| {
        let id = world.connect(0);
        let reply = said(
            world,
            id,
            &format!(
                "{{\"id\":2,\"subscribe\":{{\"channel\":\"c\",\"recover\":true,\
                 \"epoch\":\"{epoch}\",\"offset\":{offset}{more}}}}}"
            ),
        );
        world.cut(id);
        reply
    };
    let all = recover(&mut world, &epoch, 0, "");
    assert!(all.contains("\"was_recovering\":true,\"recovered\":true,\"offset\":0"), "{all}");
    assert_eq!(all.matches("\"data\":").count(), 3);
    let last = recover(&mut world, &epoch, 2, "");
    assert!(last.contains("\"data\":3") && !last.contains("\"data\":2"), "{last}");
    let none = recover(&mut world, &epoch, 3, "");
    assert!(none.contains("\"recovered\":true") && none.contains("\"publications\":[]"), "{none}");
    assert!(recover(&mut world, "", 1, "").contains("\"recovered\":true"), "any epoch");
    let unknown = error(2, 112, "unrecoverable position");
    for (epoch, offset) in [("other", 0), (epoch.as_str(), 4)] {
        let gone = recover(&mut world, epoch, offset, "");
        assert!(gone.contains("\"was_recovering\":true,\"offset\":3"), "{gone}");
        assert!(!gone.contains("recovered\":true") && !gone.contains("publications"), "{gone}");
        assert_eq!(recover(&mut world, epoch, offset, ",\"flag\":2"), unknown);
    }
    world.ask(bob, r#"{"id":9,"publish":{"channel":"c","data":4}}"#);
    let gone = recover(&mut world, &epoch, 0, "");
    assert!(gone.contains("\"offset\":4") && !gone.contains("\"recovered\":true"), "{gone}");
    let ask = |offset: u64, more: &str| {
        format!(
            "{{\"id\":2,\"history\":{{\"channel\":\"c\",\"limit\":-1,\
             \"since\":{{\"offset\":{offset},\"epoch\":\"{epoch}\"}}{more}}}}}"
        )
    };
    assert!(said(&mut world, bob, &ask(2, "")).contains("\"data\":3"));
    assert_eq!(said(&mut world, bob, &ask(0, "")), unknown);
    let back = said(&mut world, bob, &ask(4, ",\"reverse\":true"));
    assert!(back.find("\"data\":3").unwrap() < back.find("\"data\":2").unwrap(), "{back}");
}

#[test]
fn a_room_forgets_by_the_clock() {
    let ttl = Duration::from_secs(10);
    let options = Namespace {
        history_ttl: ttl,
        history_meta_ttl: Duration::from_mins(1),
        ..Namespace::open()
    };
    let mut world = World::new(1, 8, open(options));
    let ann = world.connect(0);
    world.ask(ann, r#"{"id":2,"publish":{"channel":"c","data":1}}"#);
    let ask = r#"{"id":3,"history":{"channel":"c","limit":9}}"#;
    let before = said(&mut world, ann, ask);
    world.cut(ann);
    assert!(before.contains("\"data\":1"), "{before}");
    assert!(world.shards[0].0.kept().1 > 0);
    world.wait(ttl + Duration::from_secs(1));
    assert_eq!(world.shards[0].0.kept(), (1, 0), "nobody asked, and it is gone");
    let bob = world.connect(0);
    let after = said(&mut world, bob, ask);
    assert!(after.contains("\"publications\":[]") && after.contains("\"offset\":1"), "{after}");
    assert_eq!(field(&before, "epoch"), field(&after, "epoch"));
    world.cut(bob);
    world.wait(Duration::from_secs(62));
    let eve = world.connect(0);
    let later = said(&mut world, eve, ask);
    assert_ne!(field(&before, "epoch"), field(&later, "epoch"), "forgotten");
}

#[test]
fn errors_to_the_letter() {
    let mut namespaces = Namespaces::of_one(Namespace::open());
    let mute = Namespace { publish: Allow::default(), ..Namespace::open() };
    namespaces.set("mute", mute);
    let bare = Namespace {
        history_size: 0,
        presence: false,
        subscribe: Allow::CLIENTS,
        ..Namespace::open()
    };
    namespaces.set("bare", bare);
    let slow = Namespace { publish_rate: 2, ..Namespace::open() };
    namespaces.set("slow", slow);
    let settings =
        RoomsSettings { open: true, channels_per_client: 2, ..RoomsSettings::new(namespaces) };
    let mut world = World::new(2, 8, settings);
    let ann = world.connect(0);
    let long = "x".repeat(256);
    for (message, expected) in [
        (r#"{"id":2,"subscribe":{"channel":"no:x"}}"#.into(), error(2, 102, "unknown channel")),
        (r#"{"id":2,"subscribe":{"channel":"bare:x"}}"#.into(), error(2, 103, "permission denied")),
        (
            r#"{"id":2,"subscribe":{"channel":"x","token":"t"}}"#.into(),
            error(2, 103, "permission denied"),
        ),
        (r#"{"id":2,"subscribe":{"channel":"$x"}}"#.into(), error(2, 103, "permission denied")),
        (r#"{"id":2,"subscribe":{"channel":"x","type":1}}"#.into(), error(2, 108, "not available")),
        (format!(r#"{{"id":2,"subscribe":{{"channel":"{long}"}}}}"#), error(2, 107, "bad request")),
        (r#"{"id":2,"publish":{"channel":"x"}}"#.into(), error(2, 107, "bad request")),
        (
            r#"{"id":2,"publish":{"channel":"mute:x","data":1}}"#.into(),
            error(2, 103, "permission denied"),
        ),
        (r#"{"id":2,"history":{"channel":"bare:x"}}"#.into(), error(2, 108, "not available")),
        (r#"{"id":2,"presence":{"channel":"bare:x"}}"#.into(), error(2, 108, "not available")),
        (
            r#"{"id":2,"presence_stats":{"channel":"no:x"}}"#.into(),
            error(2, 102, "unknown channel"),
        ),
        (r#"{"id":2,"rpc":{"method":"m"}}"#.into(), error(2, 104, "method not found")),
        (r#"{"id":2,"frobnicate":{}}"#.into(), error(2, 104, "method not found")),
        (r#"{"id":2,"refresh":{"token":"t"}}"#.into(), error(2, 108, "not available")),
        (
            r#"{"id":2,"sub_refresh":{"channel":"x","token":"t"}}"#.into(),
            error(2, 103, "permission denied"),
        ),
    ] {
        let message: String = message;
        assert_eq!(said(&mut world, ann, &message), expected, "{message}");
    }
    world.ask(ann, r#"{"id":3,"subscribe":{"channel":"x"}}"#);
    let twice = said(&mut world, ann, r#"{"id":4,"subscribe":{"channel":"x"}}"#);
    assert_eq!(twice, error(4, 105, "already subscribed"));
    world.ask(ann, r#"{"id":5,"subscribe":{"channel":"y"}}"#);
    let third = said(&mut world, ann, r#"{"id":6,"subscribe":{"channel":"z"}}"#);
    assert_eq!(third, error(6, 106, "limit exceeded"));
    let publish = r#"{"id":7,"publish":{"channel":"slow:x","data":1}}"#;
    assert_eq!(said(&mut world, ann, publish), r#"{"id":7,"publish":{}}"#);
    assert_eq!(said(&mut world, ann, publish), r#"{"id":7,"publish":{}}"#);
    let too_many =
        r#"{"id":7,"error":{"code":111,"message":"too many requests","temporary":true}}"#;
    assert_eq!(said(&mut world, ann, publish), too_many);
    world.wait(Duration::from_secs(1));
    assert_eq!(said(&mut world, ann, publish), r#"{"id":7,"publish":{}}"#);
    assert!(world.sockets.closed.is_empty(), "an error closes nobody");
}

#[test]
fn deliveries_are_counted_against_their_publisher() {
    let settings = RoomsSettings { deliveries_per_client: 2, ..open(Namespace::open()) };
    let mut world = World::new(2, 8, settings);
    let ann = world.connect(0);
    for shard in [0, 1, 0, 1] {
        let id = world.connect(shard);
        world.ask(id, r#"{"id":2,"subscribe":{"channel":"x"}}"#);
    }
    let publish = r#"{"id":7,"publish":{"channel":"x","data":1}}"#;
    assert_eq!(said(&mut world, ann, publish), r#"{"id":7,"publish":{}}"#);
    assert!(said(&mut world, ann, publish).contains("\"code\":111"), "4 deliveries at 2 a second");
    world.wait(Duration::from_secs(1));
    assert_eq!(said(&mut world, ann, publish), r#"{"id":7,"publish":{}}"#);
}

#[test]
fn one_message_asks_for_no_more_than_its_client_may_owe() {
    let mut world = rooms();
    let (ann, bob) = (world.connect(0), world.connect(1));
    let data = "x".repeat(20_000);
    for home in [0, 1] {
        let mut names = (0..64).map(|n| format!("c{n}"));
        let channel = names.find(|name| calls::home(name, 2) == home);
        let channel = channel.unwrap();
        for _ in 0..60 {
            let publish = format!(
                "{{\"id\":2,\"publish\":{{\"channel\":\"{channel}\",\"data\":\"{data}\"}}}}"
            );
            said(&mut world, bob, &publish);
        }
        let ask = format!("{{\"id\":3,\"history\":{{\"channel\":\"{channel}\",\"limit\":-1}}}}\n");
        let before = world.shards[0].1.load();
        world.say(ann, &ask.repeat(40));
        world.turn(0, 0);
        assert!(world.shards[0].1.load() - before <= 16 * 256, "at most 16 letters are on the way");
        let said = world.hear_all(ann);
        let bytes: usize = said.iter().map(String::len).sum();
        let most = limits::MAX_PENDING + limits::ANSWER_BYTES;
        assert!(bytes < most + 64 * 1024, "{bytes} bytes");
        world.settle();
        let later = world.hear_all(ann);
        assert_eq!(said.len() + later.len(), 40, "each has an answer");
        let stale = r#"{"id":4,"subscribe":{"channel":"X","recover":true,"offset":0}}"#;
        let told = world.ask(ann, &stale.replace('X', &channel));
        assert!(told[0].contains("\"was_recovering\":true"), "{}", &told[0][..100]);
        assert!(!told[0].contains("\"recovered\""), "1.2 MB are no answer: {}", &told[0][..100]);
    }
    assert!(world.sockets.closed.is_empty());
}

/// What a client must have said or done to be closed with a code.
#[test]
fn closes_to_the_letter() {
    for (connected, message, code, reason) in [
        (false, "{", 3501, "bad request"),
        (false, "{}", 3501, "bad request"),
        (false, r#"{"id":1,"subscribe":{"channel":"x"}}"#, 3501, "bad request"),
        (false, r#"{"id":1,"connect":{"token":"t"}}"#, 3500, "invalid token"),
        (true, r#"{"id":2,"connect":{}}"#, 3501, "bad request"),
        (true, "{}", 3501, "bad request"),
        (true, r#"{"id":2}"#, 3501, "bad request"),
        (true, r#"{"id":2,"subscribe":{}}"#, 3501, "bad request"),
        (true, r#"{"id":2,"publish":{"data":1}}"#, 3501, "bad request"),
        (true, r#"{"id":2,"unsubscribe":{"channel":""}}"#, 3501, "bad request"),
        (true, r#"{"id":2,"refresh":{}}"#, 3501, "bad request"),
        (true, "{\"id\":4294967296,\"ping\":{}}", 3501, "bad request"),
        (true, "not json", 3501, "bad request"),
    ] {
        let mut world = rooms();
        let other = world.connect(1);
        let id = if connected { world.connect(0) } else { world.arrive(0) };
        assert_eq!(world.ask(id, message), [""; 0], "{message}");
        assert_eq!(world.sockets.closed[&id], (code, reason.to_owned()), "{message}");
        assert_eq!(said(&mut world, other, r#"{"id":2,"ping":{}}"#), r#"{"id":2,"ping":{}}"#);
        let after = world.ask(id, r#"{"id":3,"publish":{"channel":"x","data":1}}"#);
        assert_eq!(after, [""; 0], "after its close it is not heard");
    }
    let mut world = World::new(1, 8, RoomsSettings::new(Namespaces::default()));
    let id = world.arrive(0);
    world.ask(id, r#"{"id":1,"connect":{}}"#);
    assert_eq!(world.sockets.closed[&id].0, 3500, "nobody comes in without a token");
}

#[test]
fn who_says_nothing_is_closed_and_who_does_not_answer_a_ping_too() {
    let mut world = rooms();
    let (silent, deaf, well) = (world.arrive(0), world.connect(0), world.connect(0));
    let mut pings = 0;
    for _ in 0..240 {
        world.wait(Duration::from_millis(250));
        for line in world.hear_all(well) {
            assert_eq!(line, "{}");
            pings += 1;
            world.say(well, "{}");
        }
    }
    assert_eq!(world.sockets.closed[&silent], (3502, "stale".to_owned()));
    assert_eq!(world.sockets.closed[&deaf], (3012, "no pong".to_owned()));
    assert!(!world.sockets.closed.contains_key(&well));
    assert!((2..=4).contains(&pings), "{pings} pings in a minute");
    world.ask(well, "{}");
    assert_eq!(world.sockets.closed[&well].0, 3501, "a pong that nobody asked for");
}

#[test]
fn who_is_not_read_is_pinged_once_and_has_time_to_answer() {
    let mut world = rooms();
    let ann = world.connect(0);
    // Less is under way than what stops publishers, and more than what lets them go on.
    let bytes = limits::FANOUT_BACKLOG / 4 * 3;
    world.shards[0].1.asked(bytes);
    world.shards[0].1.pause(ann);
    world.wait(3 * limits::PING_INTERVAL);
    assert_eq!(world.hear_all(ann), ["{}"], "one ping, as one pong is owed");
    world.shards[0].1.answered(bytes);
    world.settle();
    world.wait(limits::PONG_TIMEOUT / 2);
    assert!(world.sockets.closed.is_empty(), "its pong was not read: {:?}", world.sockets.closed);
    world.say(ann, "{}");
    world.wait(limits::PING_INTERVAL);
    assert_eq!(world.hear_all(ann), ["{}"], "and pings go on");
    world.wait(limits::PONG_TIMEOUT + Duration::from_secs(1));
    assert_eq!(world.sockets.closed[&ann].0, 3012);
}

#[test]
fn a_shard_that_has_slept_knows_how_late_it_is() {
    let mut world = rooms();
    world.now += Duration::from_hours(1);
    let ann = world.connect(0);
    assert!(world.sockets.closed.is_empty(), "{:?}", world.sockets.closed);
    for channel in ["a", "b", "c", "d"] {
        let publish = format!("{{\"id\":2,\"publish\":{{\"channel\":\"{channel}\",\"data\":1}}}}");
        said(&mut world, ann, &publish);
        let ask = format!("{{\"id\":3,\"history\":{{\"channel\":\"{channel}\",\"limit\":1}}}}");
        assert!(said(&mut world, ann, &ask).contains("\"data\":1"), "kept on either shard");
    }
}

#[test]
fn members_are_told_who_joins_and_leaves() {
    let told = Namespace { join_leave: true, ..Namespace::open() };
    let mut world = World::new(2, 8, open(told));
    let (ann, bob) = (world.connect(0), world.connect(1));
    world.ask(ann, r#"{"id":2,"subscribe":{"channel":"c"}}"#);
    world.ask(bob, r#"{"id":2,"subscribe":{"channel":"c"}}"#);
    let joined = world.hear_all(ann);
    let name = field(&joined[0], "client");
    let push = |what: &str| {
        format!(
            "{{\"push\":{{\"channel\":\"c\",\"{what}\":{{\"info\":{{\"client\":\"{name}\"}}}}}}}}"
        )
    };
    assert_eq!(joined, [push("join")]);
    world.cut(bob);
    world.settle();
    assert_eq!(world.hear_all(ann), [push("leave")]);
}

#[test]
fn who_leaves_before_it_was_let_in_is_out_of_the_room() {
    for home in ["a", "b", "c", "d"] {
        let mut world = World::new(2, 1, open(Namespace::open()));
        let ann = world.connect(0);
        world.say(ann, &format!("{{\"id\":2,\"subscribe\":{{\"channel\":\"{home}\"}}}}"));
        world.turn(0, 0);
        world.cut(ann);
        let bob = world.connect(1);
        let ask = format!("{{\"id\":3,\"presence_stats\":{{\"channel\":\"{home}\"}}}}");
        let lines = world.ask(bob, &ask);
        assert_eq!(lines.len(), 1);
        world.cut(bob);
        world.settle();
        world.assert_empty();
    }
}

// Calls.

fn call(world: &mut World, shard: usize, ask: calls::Ask) -> calls::Outcome {
    let (to, from) = mpsc::channel();
    let (rooms, fanout, _) = &mut world.shards[shard];
    rooms.called(Call { ask, reply: Reply::new(7, to) }, fanout, &mut world.sockets);
    world.settle();
    let (number, outcome) = from.try_recv().unwrap();
    assert_eq!(number, 7);
    outcome
}

#[test]
fn the_admin_plane_publishes_looks_and_puts_out() {
    let mut world = rooms();
    let (ann, bob) = (world.connect(0), world.connect(1));
    let (name, home) = ("c", calls::home("c", 2));
    for id in [ann, bob] {
        world.ask(id, r#"{"id":2,"subscribe":{"channel":"c"}}"#);
    }
    let channel = || Box::<str>::from(name);
    let publish = |data: &str| calls::Ask::Publish {
        channel: channel(),
        data: data.into(),
        skip_history: false,
    };
    let published = call(&mut world, home, publish("{\"a\":\n1}"));
    let Ok(Answer::Published(Some(top))) = published else { panic!("{published:?}") };
    assert_eq!(top.offset, 1);
    let push = r#"{"push":{"channel":"c","pub":{"data":{"a":1},"offset":1}}}"#;
    assert_eq!(world.hear_all(ann), [push]);
    assert_eq!(world.hear_all(bob), [push]);
    let history =
        calls::Ask::History { channel: channel(), limit: None, since: None, reverse: false };
    let found = call(&mut world, home, history.clone());
    let Ok(Answer::History { publications, .. }) = found else { panic!("{found:?}") };
    assert_eq!((publications.len(), &*publications[0].data), (1, "{\"a\":1}"));
    assert_eq!(
        call(&mut world, home, calls::Ask::HistoryRemove { channel: channel() }),
        Ok(Answer::Done)
    );
    let found = call(&mut world, home, history);
    let Ok(Answer::History { publications, top }) = found else { panic!("{found:?}") };
    assert_eq!((publications.len(), top.offset), (0, 1));
    let stats = call(&mut world, home, calls::Ask::PresenceStats { channel: channel() });
    assert_eq!(stats, Ok(Answer::PresenceStats { clients: 2, users: 1 }));
    let present = call(&mut world, home, calls::Ask::Presence { channel: channel() });
    assert!(matches!(present, Ok(Answer::Presence(members)) if members.len() == 2));
    let rooms = call(&mut world, 0, calls::Ask::Channels { pattern: Some("?".into()) });
    assert_eq!(rooms, Ok(Answer::Channels(vec![(channel(), 1)])));
    let Ok(Answer::Info(load)) = call(&mut world, 0, calls::Ask::Info) else { panic!() };
    assert_eq!((load.clients, load.channels, load.subscriptions), (1, 1, 1));
    let out = calls::Ask::Unsubscribe { user: "".into(), channel: channel(), client: None };
    assert_eq!(call(&mut world, 0, out), Ok(Answer::Reached(1)));
    let told = world.hear_all(ann);
    assert_eq!(
        told,
        [r#"{"push":{"channel":"c","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}"#]
    );
    let back =
        calls::Ask::Subscribe { user: "".into(), channel: channel(), client: None, info: None };
    assert_eq!(call(&mut world, 0, back), Ok(Answer::Reached(1)));
    let told = world.hear_all(ann);
    assert!(told[0].starts_with(r#"{"push":{"channel":"c","subscribe":{"#), "{told:?}");
    let kick = calls::Ask::Disconnect {
        user: "".into(),
        client: None,
        except: Vec::new(),
        code: 4000,
        reason: "bye".into(),
    };
    assert_eq!(call(&mut world, 1, kick), Ok(Answer::Reached(1)));
    assert_eq!(world.sockets.closed[&bob], (4000, "bye".to_owned()));
    let nowhere = calls::Ask::Presence { channel: "no:x".into() };
    assert_eq!(call(&mut world, 0, nowhere), Err(Denied::UnknownChannel));
}

// Tokens.

mod tokens {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

    use super::*;
    use crate::hub::rooms::clock::Clock;

    const SECRET: &[u8] = b"a secret of no less than thirty-two bytes";

    /// Signed: what is tested here is what becomes of the claims.
    fn token(claims: &str) -> String {
        let head = BASE64.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let signed = format!("{head}.{}", BASE64.encode(claims));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
        let signature = ring::hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", BASE64.encode(signature))
    }

    fn world() -> World {
        let rules =
            Rules { max_token: limits::MAX_MESSAGE, leeway_s: 0, audience: None, issuer: None };
        let verifier = Verifier::new(vec![Key::secret(SECRET).unwrap()], rules).unwrap();
        let namespace = Namespace { history_size: 10, ..Namespace::default() };
        let settings = RoomsSettings {
            verifier: Some(Arc::new(verifier)),
            expired_close_delay: Duration::from_secs(5),
            ..RoomsSettings::new(Namespaces::of_one(namespace))
        };
        World::new(2, 8, settings)
    }

    fn connect(world: &mut World, claims: &str) -> (u32, Vec<String>) {
        let id = world.arrive(0);
        let message = format!("{{\"id\":1,\"connect\":{{\"token\":\"{}\"}}}}", token(claims));
        let lines = world.ask(id, &message);
        (id, lines)
    }

    fn now(plus: u64) -> u64 {
        Clock::unix() + plus
    }

    #[test]
    fn a_connection_lives_as_long_as_its_token_and_a_little_more() {
        let mut world = world();
        let claims = format!("{{\"sub\":\"ann\",\"exp\":{}}}", now(100));
        let (ann, lines) = connect(&mut world, &claims);
        assert!(lines[0].contains("\"expires\":true,\"ttl\":"), "{lines:?}");
        let (bob, lines) = connect(&mut world, r#"{"sub":"bob","info":{"n":1}}"#);
        assert!(!lines[0].contains("expires"), "{lines:?}");
        let longer = token(&format!("{{\"sub\":\"ann\",\"exp\":{}}}", now(200)));
        let refresh = |token: &str| format!("{{\"id\":5,\"refresh\":{{\"token\":\"{token}\"}}}}");
        let reply = said(&mut world, ann, &refresh(&longer));
        assert!(reply.starts_with(r#"{"id":5,"refresh":{"client":""#), "{reply}");
        assert!(reply.contains("\"expires\":true,\"ttl\":"), "{reply}");
        world.ask(bob, &refresh(&longer));
        assert_eq!(world.sockets.closed[&bob].0, 3500, "another's token");
        // Nobody answers pings here.
        let quiet = |world: &mut World, seconds: u64| {
            for _ in 0..seconds {
                world.wait(Duration::from_secs(1));
                world.hear_all(ann).iter().for_each(|_| world.say(ann, "{}"));
            }
        };
        quiet(&mut world, 190);
        assert!(!world.sockets.closed.contains_key(&ann), "{:?}", world.sockets.closed);
        quiet(&mut world, 20);
        assert_eq!(world.sockets.closed[&ann], (3005, "connection expired".to_owned()));
    }

    #[test]
    fn tokens_that_are_not_good() {
        let mut world = world();
        let (old, lines) = connect(&mut world, r#"{"sub":"ann","exp":1}"#);
        assert_eq!(lines, [error(1, 109, "token expired")]);
        world.ask(old, r#"{"id":2,"ping":{}}"#);
        assert_eq!(world.sockets.closed[&old].0, 3501);
        for bad in ["x", "a.b.c", ""] {
            let id = world.arrive(0);
            world.ask(id, &format!("{{\"id\":1,\"connect\":{{\"token\":\"{bad}\"}}}}"));
            assert_eq!(world.sockets.closed[&id].0, 3500, "{bad}");
        }
        let (id, _) = connect(&mut world, r#"{"sub":"ann","channel":"x"}"#);
        assert_eq!(world.sockets.closed[&id].0, 3500, "a subscription's token");
    }

    #[test]
    fn a_private_channel_takes_a_token_of_its_own() {
        let mut world = world();
        let (ann, _) = connect(&mut world, r#"{"sub":"ann"}"#);
        let subscribe = |claims: &str| {
            let token = token(claims);
            format!("{{\"id\":2,\"subscribe\":{{\"channel\":\"$x\",\"token\":\"{token}\"}}}}")
        };
        let denied = error(2, 103, "permission denied");
        let bare = r#"{"id":2,"subscribe":{"channel":"$x"}}"#;
        assert_eq!(said(&mut world, ann, bare), denied);
        for (claims, expected) in [
            (r#"{"sub":"bob","channel":"$x"}"#, denied.clone()),
            (r#"{"sub":"ann","channel":"$y"}"#, denied.clone()),
            (r#"{"sub":"ann","channel":"$x","client":"other"}"#, denied.clone()),
            (r#"{"sub":"ann"}"#, denied),
            (r#"{"sub":"ann","channel":"$x","exp":1}"#, error(2, 109, "token expired")),
        ] {
            assert_eq!(said(&mut world, ann, &subscribe(claims)), expected, "{claims}");
        }
        let good = format!("{{\"sub\":\"ann\",\"channel\":\"$x\",\"exp\":{}}}", now(10));
        let reply = said(&mut world, ann, &subscribe(&good));
        assert!(reply.contains("\"expires\":true,\"ttl\":"), "{reply}");
        let later = token(&format!("{{\"sub\":\"ann\",\"channel\":\"$x\",\"exp\":{}}}", now(15)));
        let refresh = |token: &str| {
            format!("{{\"id\":6,\"sub_refresh\":{{\"channel\":\"$x\",\"token\":\"{token}\"}}}}")
        };
        let reply = said(&mut world, ann, &refresh(&later));
        assert!(reply.starts_with(r#"{"id":6,"sub_refresh":{"expires":true,"ttl":"#), "{reply}");
        assert_eq!(said(&mut world, ann, &refresh("x")), error(6, 103, "permission denied"));
        assert_eq!(said(&mut world, ann, &refresh("")), error(6, 107, "bad request"));
        world.wait(Duration::from_secs(12));
        world.hear_all(ann);
        world.wait(Duration::from_secs(10));
        let told = world.hear_all(ann);
        let why = r#"{"code":2501,"reason":"subscription expired"}"#;
        let out = format!("{{\"push\":{{\"channel\":\"$x\",\"unsubscribe\":{why}}}}}");
        assert!(told.contains(&out), "{told:?}");
    }

    #[test]
    fn a_token_may_put_its_holder_into_rooms() {
        let mut world = world();
        let (ann, lines) = connect(&mut world, r#"{"sub":"ann","channels":["news","no:x"]}"#);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with(r#"{"id":1,"connect":"#), "{lines:?}");
        assert!(lines[1].starts_with(r#"{"push":{"channel":"news","subscribe":{"#), "{lines:?}");
        let (bob, _) = connect(&mut world, r#"{"sub":"bob"}"#);
        world.ask(bob, r#"{"id":2,"publish":{"channel":"news","data":1}}"#);
        let push = world.hear(ann).unwrap();
        assert!(push.contains("\"info\":{\"user\":\"bob\","), "{push}");
    }

    #[test]
    fn a_name_twice_in_a_token_is_one_place_in_the_room() {
        let mut world = world();
        let claims = r#"{"sub":"ann","channels":["a","a"],"subs":{"a":{}}}"#;
        let (ann, lines) = connect(&mut world, claims);
        assert_eq!(lines.len(), 2, "the connect's reply and one subscription: {lines:?}");
        let (bob, _) = connect(&mut world, r#"{"sub":"bob"}"#);
        let stats = r#"{"id":2,"presence_stats":{"channel":"a"}}"#;
        assert!(said(&mut world, bob, stats).contains("\"num_clients\":1,"));
        world.ask(bob, r#"{"id":3,"publish":{"channel":"a","data":1}}"#);
        assert_eq!(world.hear_all(ann).len(), 1, "one copy");
        world.cut(ann);
        world.settle();
        assert!(said(&mut world, bob, stats).contains("\"num_clients\":0,"), "no ghost");
    }
}
