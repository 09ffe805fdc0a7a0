//! Any interleaving of joins, leaves, publications and cuts over several shards: each member has
//! exactly what it should have.

use std::collections::HashMap;

use proptest::prelude::*;
use simd_json::OwnedValue;
use simd_json::prelude::*;

use super::world::{World, open};
use crate::hub::namespace::Namespace;

const CHANNELS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Step {
    Arrive {
        shard: usize,
    },
    Subscribe {
        person: usize,
        channel: usize,
    },
    Unsubscribe {
        person: usize,
        channel: usize,
    },
    Publish {
        person: usize,
        channel: usize,
    },
    /// The connection breaks; the person comes back, on some shard, and asks for what it missed.
    Cut {
        person: usize,
        shard: usize,
    },
    Turn {
        shard: usize,
        letters: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let person = || 0..8_usize;
    let channel = || 0..CHANNELS.len();
    prop_oneof![
        2 => (0..3_usize).prop_map(|shard| Step::Arrive { shard }),
        4 => (person(), channel())
            .prop_map(|(person, channel)| Step::Subscribe { person, channel }),
        1 => (person(), channel())
            .prop_map(|(person, channel)| Step::Unsubscribe { person, channel }),
        8 => (person(), channel()).prop_map(|(person, channel)| Step::Publish { person, channel }),
        2 => (person(), 0..3_usize).prop_map(|(person, shard)| Step::Cut { person, shard }),
        8 => (0..3_usize, 0..4_usize).prop_map(|(shard, letters)| Step::Turn { shard, letters }),
    ]
}

/// What a person knows of a channel.
#[derive(Clone, Default, Debug)]
struct View {
    /// It asked to be in, and did not ask to be out since.
    wants: bool,
    /// It was told that it is in.
    is_in: bool,
    epoch: String,
    offset: u64,
}

/// An offset and its epoch.
type Position = (u64, String);

struct Person {
    conn: u32,
    views: Vec<View>,
    command: u32,
    /// Commands without a reply: what they were about, and the position that they asked for.
    waiting: HashMap<u32, (&'static str, usize, Option<Position>)>,
    published: u64,
}

/// People, and what was seen of each channel by anybody.
struct Story {
    world: World,
    people: Vec<Person>,
    history: usize,
    /// By channel and offset: the data, the same for everybody.
    log: HashMap<(usize, u64), String>,
    /// Publications that were acknowledged, by channel.
    acked: [u64; 3],
}

impl Story {
    fn new(room: usize, history: usize) -> Self {
        let options = Namespace { history_size: history, ..Namespace::open() };
        let world = World::new(3, room, open(options));
        Self { world, people: Vec::new(), history, log: HashMap::new(), acked: [0; 3] }
    }

    fn say(&mut self, person: usize, what: &'static str, channel: usize, fields: &str) {
        let one = &mut self.people[person];
        one.command += 1;
        let view = &one.views[channel];
        let asked = fields.contains("recover").then(|| (view.offset, view.epoch.clone()));
        one.waiting.insert(one.command, (what, channel, asked));
        let name = CHANNELS[channel];
        let text =
            format!("{{\"id\":{},\"{what}\":{{\"channel\":\"{name}\"{fields}}}}}", one.command);
        self.world.say(one.conn, &text);
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Arrive { shard } if self.people.len() < 8 => {
                let conn = self.world.connect(shard);
                let views = vec![View::default(); CHANNELS.len()];
                let waiting = HashMap::new();
                self.people.push(Person { conn, views, command: 1, waiting, published: 0 });
            }
            Step::Subscribe { person, channel } if person < self.people.len() => {
                self.subscribe(person, channel);
            }
            Step::Unsubscribe { person, channel }
                if person < self.people.len() && self.people[person].views[channel].wants =>
            {
                self.people[person].views[channel].wants = false;
                self.say(person, "unsubscribe", channel, "");
            }
            Step::Publish { person, channel } if person < self.people.len() => {
                let one = &mut self.people[person];
                one.published += 1;
                // Of one connection: two of the same person are two publishers.
                let fields = format!(",\"data\":[{}, {}]", one.conn, one.published);
                self.say(person, "publish", channel, &fields);
            }
            Step::Cut { person, shard } if person < self.people.len() => self.cut(person, shard),
            Step::Turn { shard, letters } => {
                self.world.turn(shard, letters);
            }
            _ => {}
        }
        self.listen();
    }

    /// Not waiting for any answer: the server sees to the order.
    fn subscribe(&mut self, person: usize, channel: usize) {
        let view = &self.people[person].views[channel];
        if view.wants {
            return;
        }
        let fields = if view.epoch.is_empty() {
            String::new()
        } else {
            format!(",\"recover\":true,\"epoch\":\"{}\",\"offset\":{}", view.epoch, view.offset)
        };
        let view = &mut self.people[person].views[channel];
        view.wants = true;
        self.say(person, "subscribe", channel, &fields);
    }

    fn cut(&mut self, person: usize, shard: usize) {
        self.listen();
        self.world.cut(self.people[person].conn);
        let conn = self.world.connect(shard);
        let one = &mut self.people[person];
        (one.conn, one.command) = (conn, 1);
        one.waiting.clear();
        let wanted: Vec<usize> = (0..CHANNELS.len()).filter(|n| one.views[*n].wants).collect();
        for view in &mut one.views {
            (view.wants, view.is_in) = (false, false);
        }
        for channel in wanted {
            self.subscribe(person, channel);
        }
    }

    fn listen(&mut self) {
        for person in 0..self.people.len() {
            let conn = self.people[person].conn;
            for line in self.world.hear_all(conn) {
                if line == "{}" {
                    continue;
                }
                let mut bytes = line.clone().into_bytes();
                let value = simd_json::to_owned_value(&mut bytes).unwrap();
                if let Some(push) = value.get("push") {
                    self.push(person, push, &line);
                } else {
                    self.reply(person, &value, &line);
                }
            }
            assert!(!self.world.sockets.closed.contains_key(&conn), "closed");
        }
    }

    fn push(&mut self, person: usize, push: &OwnedValue, line: &str) {
        let channel = push.get_str("channel").unwrap();
        let channel = CHANNELS.iter().position(|name| *name == channel).unwrap();
        assert!(self.people[person].views[channel].is_in, "not in: {line}");
        if let Some(publication) = push.get("pub") {
            self.publication(person, channel, publication);
        } else {
            assert!(push.get("join").or(push.get("leave")).is_some(), "{line}");
        }
    }

    /// The next offset, and the data that everybody has there.
    fn publication(&mut self, person: usize, channel: usize, publication: &OwnedValue) {
        let offset = publication.get_u64("offset").unwrap();
        let data = publication.get("data").unwrap().encode();
        let view = &mut self.people[person].views[channel];
        assert_eq!(offset, view.offset + 1, "a gap, a double, or the wrong order");
        view.offset = offset;
        let same = self.log.entry((channel, offset)).or_insert_with(|| data.clone());
        assert_eq!(*same, data, "another publication at offset {offset}");
    }

    fn reply(&mut self, person: usize, value: &OwnedValue, line: &str) {
        let id = u32::try_from(value.get_u64("id").unwrap()).unwrap();
        let waited = self.people[person].waiting.remove(&id);
        let (what, channel, asked) = waited.unwrap_or_else(|| panic!("a reply to nobody: {line}"));
        let result = value.get(what).unwrap_or_else(|| panic!("{what}: {line}"));
        match what {
            "publish" => self.acked[channel] += 1,
            "unsubscribe" => self.people[person].views[channel].is_in = false,
            _ => self.subscribed(person, channel, asked, result),
        }
    }

    fn subscribed(
        &mut self,
        person: usize,
        channel: usize,
        asked: Option<Position>,
        result: &OwnedValue,
    ) {
        let recovered = result.get_bool("recovered").unwrap_or_default();
        let offset = result.get_u64("offset").unwrap();
        let epoch = result.get_str("epoch").unwrap().to_owned();
        let history = self.history as u64;
        assert!(!self.people[person].views[channel].is_in, "in twice");
        assert_eq!(result.get_bool("was_recovering").unwrap_or_default(), asked.is_some());
        match asked {
            Some(position) if recovered => assert_eq!((offset, epoch.clone()), position),
            Some((asked, _)) => {
                let missed = offset - asked;
                assert!(missed > history, "{missed} missed, {history} kept, and not recovered");
            }
            None => assert!(!recovered),
        }
        let view = &mut self.people[person].views[channel];
        (view.is_in, view.epoch, view.offset) = (true, epoch, offset);
        let missed = result.get_array("publications").cloned().unwrap_or_default();
        assert!(recovered || missed.is_empty(), "never a part");
        for publication in &missed {
            self.publication(person, channel, publication);
        }
    }

    fn finish(mut self) {
        self.world.settle();
        self.listen();
        for (channel, acked) in self.acked.into_iter().enumerate() {
            let top = self.log.keys().filter(|(of, _)| *of == channel).map(|(_, at)| *at).max();
            for (n, person) in self.people.iter().enumerate() {
                let view = &person.views[channel];
                assert_eq!(view.is_in, view.wants, "person {n}");
                if view.is_in {
                    assert!(Some(view.offset) >= top, "person {n} lacks the last");
                    // Those that were cut may have published what nobody told them of.
                    assert!(view.offset >= acked, "person {n}: {} of {acked}", view.offset);
                }
                assert!(person.waiting.is_empty(), "person {n} waits for {:?}", person.waiting);
            }
            let mut last = HashMap::new();
            for offset in 1..=top.unwrap_or(0) {
                let Some(data) = self.log.get(&(channel, offset)) else { continue };
                let mut data = data.clone().into_bytes();
                let pair = simd_json::to_owned_value(&mut data).unwrap();
                let (who, number) = (pair[0].as_u64().unwrap(), pair[1].as_u64().unwrap());
                assert!(last.insert(who, number) < Some(number), "a publisher's order");
            }
        }
        for person in std::mem::take(&mut self.people) {
            self.world.cut(person.conn);
        }
        self.world.settle();
        self.world.assert_empty();
    }
}

proptest! {
    #[test]
    fn each_member_has_exactly_what_it_should_have(
        room in 1..6_usize,
        history in prop_oneof![1..4_usize, Just(1000)],
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut story = Story::new(room, history);
        for step in &steps {
            story.apply(step);
        }
        story.finish();
    }
}
