//! Members that do not take their messages: what becomes of them, by their namespace's policy, and
//! that nobody else loses anything.

use std::time::Duration;

use super::world::{World, open};
use crate::hub::namespace::{Namespace, Slow};

/// Two members on different shards, a deaf one on each, and a publisher.
fn rooms(slow: Slow) -> (World, [u32; 2], [u32; 2], u32) {
    rooms_with(slow, false)
}

fn rooms_with(slow: Slow, join_leave: bool) -> (World, [u32; 2], [u32; 2], u32) {
    let options = Namespace { join_leave, slow, ..Namespace::open() };
    let mut world = World::new(2, 8, open(options));
    let members = [0, 1, 0, 1].map(|shard| {
        let id = world.connect(shard);
        world.ask(id, r#"{"id":2,"subscribe":{"channel":"c"}}"#);
        id
    });
    let publisher = world.connect(0);
    let deaf = [members[2], members[3]];
    world.sockets.deaf.extend(deaf);
    (world, [members[0], members[1]], deaf, publisher)
}

fn publish(world: &mut World, publisher: u32, n: u32) {
    let message = format!("{{\"id\":9,\"publish\":{{\"channel\":\"c\",\"data\":{n}}}}}");
    assert_eq!(world.ask(publisher, &message), [r#"{"id":9,"publish":{}}"#]);
}

/// The data of each publication that a member was told.
fn data(world: &mut World, id: u32) -> Vec<u32> {
    let number = |line: &String| {
        let at = line.find("\"data\":")? + 7;
        line[at..].split([',', '}']).next()?.parse().ok()
    };
    world.hear_all(id).iter().filter_map(number).collect()
}

#[test]
fn close_is_3008() {
    let (mut world, healthy, deaf, publisher) = rooms(Slow::Close);
    (1..4).for_each(|n| publish(&mut world, publisher, n));
    for id in healthy {
        assert_eq!(data(&mut world, id), [1, 2, 3]);
    }
    for id in deaf {
        assert_eq!(world.sockets.closed[&id], (3008, "slow".to_owned()));
    }
}

#[test]
fn drop_tells_of_the_gap_and_the_member_recovers() {
    let (mut world, healthy, deaf, publisher) = rooms(Slow::Drop);
    (1..4).for_each(|n| publish(&mut world, publisher, n));
    for id in healthy {
        assert_eq!(data(&mut world, id), [1, 2, 3]);
    }
    let out =
        r#"{"push":{"channel":"c","unsubscribe":{"code":2500,"reason":"insufficient state"}}}"#;
    for id in deaf {
        assert_eq!(world.hear_all(id), [out], "told once, and nothing behind the gap");
    }
    world.sockets.deaf.clear();
    let reply =
        world.ask(deaf[0], r#"{"id":3,"subscribe":{"channel":"c","recover":true,"offset":0}}"#);
    assert!(reply[0].contains("\"recovered\":true"), "{reply:?}");
    publish(&mut world, publisher, 4);
    assert_eq!(data(&mut world, deaf[0]), [4]);
    assert_eq!(data(&mut world, deaf[1]), [0; 0], "it is out");
    assert!(world.sockets.closed.is_empty());
}

#[test]
fn latest_is_the_newest_alone_once_the_member_reads_again() {
    let (mut world, healthy, deaf, publisher) = rooms(Slow::Latest);
    (1..5).for_each(|n| publish(&mut world, publisher, n));
    world.wait(Duration::from_millis(250));
    for id in healthy {
        assert_eq!(data(&mut world, id), [1, 2, 3, 4]);
    }
    world.sockets.deaf.clear();
    world.wait(Duration::from_millis(250));
    for id in deaf {
        assert_eq!(data(&mut world, id), [4]);
    }
    publish(&mut world, publisher, 5);
    for id in deaf {
        assert_eq!(data(&mut world, id), [5], "and in order from then on");
    }
    assert!(world.sockets.closed.is_empty());
}

#[test]
fn who_is_behind_stops_no_publisher() {
    let (mut world, healthy, deaf, publisher) = rooms(Slow::Latest);
    (1..4).for_each(|n| publish(&mut world, publisher, n));
    for (_, fanout, _) in &world.shards {
        assert_eq!(fanout.load(), 0, "all walks are done: nothing is under way");
    }
    for id in healthy {
        assert_eq!(data(&mut world, id), [1, 2, 3]);
    }
    world.sockets.deaf.clear();
    world.wait(Duration::from_millis(250));
    for id in deaf {
        assert_eq!(data(&mut world, id), [3]);
    }
}

#[test]
fn who_joins_or_leaves_does_not_take_the_newest_publications_place() {
    let (mut world, _, deaf, publisher) = rooms_with(Slow::Latest, true);
    (1..3).for_each(|n| publish(&mut world, publisher, n));
    world.ask(publisher, r#"{"id":3,"subscribe":{"channel":"c"}}"#);
    world.ask(publisher, r#"{"id":4,"unsubscribe":{"channel":"c"}}"#);
    for id in deaf {
        world.hear_all(id);
    }
    world.sockets.deaf.clear();
    world.wait(Duration::from_millis(250));
    for id in deaf {
        assert_eq!(data(&mut world, id), [2]);
    }
}

#[test]
fn who_is_behind_may_leave_or_be_cut() {
    for slow in [Slow::Latest, Slow::Drop] {
        let (mut world, healthy, deaf, publisher) = rooms(slow);
        publish(&mut world, publisher, 1);
        let reply = world.ask(deaf[0], r#"{"id":5,"unsubscribe":{"channel":"c"}}"#);
        assert!(reply.contains(&r#"{"id":5,"unsubscribe":{}}"#.to_owned()), "{reply:?}");
        world.cut(deaf[1]);
        publish(&mut world, publisher, 2);
        world.wait(Duration::from_secs(1));
        for id in healthy {
            assert_eq!(data(&mut world, id), [1, 2]);
        }
        for id in [healthy[0], healthy[1], deaf[0], publisher] {
            world.cut(id);
        }
        world.settle();
        world.assert_empty();
    }
}
