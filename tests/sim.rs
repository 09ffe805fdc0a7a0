//! The shard's loop over a simulated network: the server's hub and a client App, both on the real
//! reactor, in virtual time. Every run follows from its seed; a run that fails prints it.
#![allow(clippy::unwrap_used)]

#[path = "sim/net.rs"]
mod net;
#[path = "sim/talker.rs"]
mod talker;
#[path = "sim/throttle.rs"]
mod throttle;
#[path = "sim/world.rs"]
mod world;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use net::{SimNet, Turn, run};
use plimsoll::conn::{Settings, Side, Tally};
use plimsoll::hub::{Common, Hub};
use plimsoll::limits;
use plimsoll::shard::{App, Counters, Limits, Place, Post, Reactor, default_settings};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use talker::{Plan, Report, Talker};
use throttle::Throttle;
use world::{Shared, Weather, World};

const REQUEST: &[u8] = b"GET /echo HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn settings(side: Side) -> Settings {
    // No pings: one would wake whoever sleeps through its work.
    Settings { max_pending: 64 * 1024, ..default_settings(side) }
}

fn loop_limits() -> Limits {
    Limits {
        group_connections: 100_000,
        shard_connections: 100_000,
        buffered: limits::MAX_BUFFERED,
        addresses: None,
        pings: None,
        accepts_per_turn: 16,
        mails_per_turn: 2,
        read_buffer: 16 * 1024,
    }
}

/// Server shards, numbered from 0, each with the hub.
fn servers(world: &Shared, shards: usize, mailbox: usize) -> (Vec<Reactor<SimNet, Hub>>, Numbers) {
    let common = Arc::new(Common::new(shards, Vec::new(), Vec::new(), None));
    let began = world.borrow().instant();
    let hub = |index| Hub::new(index, shards, Arc::clone(&common), began, Box::new(|_| ()));
    servers_of(world, shards, mailbox, hub)
}

/// Server shards of any App.
fn servers_of<A: App>(
    world: &Shared,
    shards: usize,
    mailbox: usize,
    app: impl Fn(usize) -> A,
) -> (Vec<Reactor<SimNet, A>>, Numbers) {
    servers_under(world, shards, mailbox, app, &settings(Side::Server), &loop_limits())
}

/// Server shards of any App, under any bounds.
fn servers_under<A: App>(
    world: &Shared,
    shards: usize,
    mailbox: usize,
    app: impl Fn(usize) -> A,
    settings: &Settings,
    limits: &Limits,
) -> (Vec<Reactor<SimNet, A>>, Numbers) {
    let counters: Arc<[Counters]> = (0..shards).map(|_| Counters::default()).collect();
    let (nets, wakers): (Vec<_>, _) = (0..shards).map(|shard| SimNet::new(world, shard)).unzip();
    let (post, blocks) = (Post::new(mailbox, wakers), Tally::default());
    let reactors = nets.into_iter().enumerate().map(|(index, net)| {
        let (counters, blocks) = (Arc::clone(&counters), blocks.clone());
        let place = Place { index, post: post.clone(), counters, blocks };
        let seed = Some(index as u64);
        let (settings, limits) = (settings.clone(), limits.clone());
        let mut reactor = Reactor::new(net, app(index), settings, limits, place, seed);
        reactor.listen().unwrap();
        reactor
    });
    (reactors.collect(), Numbers(Arc::clone(&counters)))
}

/// What all server shards counted together.
struct Numbers(Arc<[Counters]>);

impl Numbers {
    fn sum(&self, of: impl Fn(&Counters) -> u64) -> u64 {
        self.0.iter().map(of).sum()
    }

    fn connections(&self) -> u64 {
        self.sum(|c| c.connections.get())
    }

    fn ends(&self, name: &str) -> u64 {
        let index = plimsoll::conn::End::NAMES.iter().position(|n| *n == name).unwrap();
        self.sum(|c| c.ends[index].get())
    }
}

/// A client shard with the number `shard`.
fn client(
    world: &Shared,
    shard: usize,
    plan: Plan,
) -> (Reactor<SimNet, Talker>, Rc<RefCell<Report>>) {
    let (net, waker) = SimNet::new(world, shard);
    let post = Post::new(4, vec![waker]);
    let counters: Arc<[Counters]> = [Counters::default()].into();
    let (talker, report) = Talker::new(plan, world.borrow().instant());
    let place = Place { index: 0, post, counters, blocks: Tally::default() };
    // Waits for nothing of its own before it reads: two ends that do would wait for each other.
    let settings = Settings { max_pending: usize::MAX, ..settings(Side::Client) };
    // Accepts nobody.
    let limits = Limits { shard_connections: 0, ..loop_limits() };
    let reactor = Reactor::new(net, talker, settings, limits, place, Some(99));
    (reactor, report)
}

/// Runs one seed after the other and names the one that fails.
fn seeds(range: std::ops::Range<u64>, mut one: impl FnMut(u64)) {
    for seed in range {
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| one(seed))) {
            let cause = cause.downcast_ref::<String>().map_or("see above", String::as_str);
            panic!("seed {seed} failed: {cause}");
        }
    }
}

fn turns<'a, A: App>(
    servers: &'a mut [Reactor<SimNet, A>],
    more: &'a mut [&mut Reactor<SimNet, Talker>],
) -> Vec<&'a mut dyn Turn> {
    let servers = servers.iter_mut().map(|reactor| reactor as &mut dyn Turn);
    servers.chain(more.iter_mut().map(|reactor| &mut **reactor as &mut dyn Turn)).collect()
}

/// A plan that depends on the seed, and suits the weather: what is large takes long by 50 bytes.
fn any_plan(rng: &mut StdRng, world: &Shared, path: &'static str) -> Plan {
    let sizes = [vec![0, 12, 117], vec![100, 900, 1100, 3000], vec![10, 20_000, 70_000]];
    let kinds = if world.borrow().weather.room.1 < 1000 { 2 } else { 3 };
    Plan {
        path,
        connections: rng.random_range(1..12),
        messages: rng.random_range(1..12),
        window: rng.random_range(1..6),
        sizes: sizes[rng.random_range(0..kinds)].clone(),
        gap: Duration::from_micros([0, 3, 5000][rng.random_range(0..3)]),
        broadcast: path != "/echo",
        stays: false,
    }
}

/// In any weather: every message comes back whole and in order, everybody leaves in peace, and
/// nobody sleeps while there is something to do.
#[test]
fn nothing_is_lost_and_nothing_stalls() {
    seeds(0..200, |seed| {
        let world = World::new(seed, None);
        let plan = any_plan(&mut StdRng::seed_from_u64(seed), &world, "/echo");
        let shards = 1 + seed as usize % 2;
        let (mut servers, numbers) = servers(&world, shards, 64);
        let (mut client, report) = client(&world, shards, plan.clone());
        let all = plan.connections as usize;
        run(
            &world,
            &mut turns(&mut servers, &mut [&mut client]),
            |_| (),
            |_| report.borrow().ends.len() == all && numbers.connections() == 0,
        );
        let report = report.borrow();
        let peace = |end: &&String| *end == "ClosedByUs(CloseCode(1000))";
        assert_eq!(report.ends.iter().filter(peace).count(), all, "{:?}", report.ends);
        assert_eq!(report.heard, u64::from(plan.connections * plan.messages));
        assert_eq!(numbers.ends("closed_by_peer"), all as u64);
        assert_eq!(numbers.sum(|c| c.buffered_bytes.get()), 0, "all memory came back");
        // One when it is reported, one more as the ready list has its turn.
        assert!(world.borrow().most_reads <= 2, "{} reads in a turn", world.borrow().most_reads);
    });
}

/// Shards whose mailboxes hold one mail: what found no room is tried again, and everybody hears
/// everybody, in each publisher's order.
#[test]
fn a_full_mailbox_loses_nothing() {
    let mut refused = 0;
    seeds(0..100, |seed| {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut weather = Weather::any(&mut rng);
        // A slow member would be closed: that is another test.
        weather.room = (400_000, 500_000);
        let world = World::new(seed, Some(weather));
        let mut plan = any_plan(&mut rng, &world, "/broadcast/sim");
        plan.sizes = vec![10, 300, 2000];
        let (mut servers, numbers) = servers(&world, 3, 1);
        let (mut client, report) = client(&world, 3, plan.clone());
        let all = plan.connections as usize;
        run(
            &world,
            &mut turns(&mut servers, &mut [&mut client]),
            |_| (),
            |_| report.borrow().ends.len() == all && numbers.connections() == 0,
        );
        let heard = plan.connections * plan.connections * plan.messages;
        assert_eq!(report.borrow().heard, u64::from(heard));
        refused += numbers.sum(|c| c.mails_refused.get());
    });
    assert!(refused > 20, "mailboxes were full {refused} times");
}

/// Reads that pause until a mail finds room, and go on: what came meanwhile gave its edge long ago,
/// and is read all the same.
#[test]
fn a_full_mailbox_pauses_and_resumes() {
    let mut refused = 0;
    seeds(0..80, |seed| {
        let world = World::new(seed, None);
        let plan = any_plan(&mut StdRng::seed_from_u64(seed), &world, "/");
        let plan = Plan { broadcast: false, ..plan };
        let room = [1, 32][seed as usize % 2];
        let (mut servers, numbers) = servers_of(&world, 2, room, |_| Throttle::default());
        let (mut client, report) = client(&world, 2, plan.clone());
        let all = plan.connections as usize;
        run(
            &world,
            &mut turns(&mut servers, &mut [&mut client]),
            |_| (),
            |_| report.borrow().ends.len() == all && numbers.connections() == 0,
        );
        let messages = u64::from(plan.connections * plan.messages);
        assert_eq!(report.borrow().heard, messages);
        // Until both sleep.
        while servers.iter_mut().any(|shard| shard.turn().is_ok()) {}
        let mails: u64 = servers.into_iter().map(Reactor::finish).sum();
        assert_eq!(mails, messages, "a mail lies in a box, and its shard sleeps");
        refused += numbers.sum(|c| c.mails_refused.get());
    });
    assert!(refused > 100, "mailboxes were full {refused} times");
}

/// A peer that the test plays: sends what it has as its socket takes it, reads what comes.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself, as on a real socket")]
struct Raw {
    half: usize,
    to_send: Vec<u8>,
    shut_after: bool,
    heard: Vec<u8>,
    ended: bool,
    was_reset: bool,
    gone: bool,
}

impl Raw {
    fn dial(world: &Shared, to_send: Vec<u8>) -> Self {
        let half = world.borrow_mut().connect(None).unwrap();
        Self { half, to_send, ..Self::default() }
    }

    fn act(&mut self, world: &Shared) {
        let mut world = world.borrow_mut();
        if self.gone || !world.is_connected(self.half) {
            return;
        }
        if !self.to_send.is_empty()
            && let Some(n) = world.write(self.half, &self.to_send)
        {
            self.to_send.drain(..n);
        }
        if self.to_send.is_empty() && self.shut_after {
            world.shut(self.half);
        }
        let mut buffer = [0; 4096];
        loop {
            match world.read(self.half, &mut [&mut buffer]) {
                Ok(Some(0)) => break self.ended = true,
                Ok(Some(n)) => self.heard.extend_from_slice(&buffer[..n]),
                Ok(None) => break,
                Err(()) => break self.was_reset = true,
            }
        }
        if self.ended || self.was_reset {
            world.close(self.half);
            self.gone = true;
        }
    }

    /// Resets the connection.
    fn kill(&mut self, world: &Shared) {
        if !std::mem::replace(&mut self.gone, true) {
            world.borrow_mut().reset(self.half);
        }
    }
}

fn act_all<'a>(raws: impl IntoIterator<Item = &'a mut Raw>, world: &Shared) {
    for raw in raws {
        raw.act(world);
    }
}

/// One masked frame with a key of zeros, which leaves the payload as it is.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | short as u8),
        long => {
            bytes.push(0xfe);
            bytes.extend(u16::try_from(long).unwrap().to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// Request, messages and FIN in one go: one edge for all of it, at most. Everything is read,
/// answered as far as the peer takes it, and the connection is buried without any timer.
#[test]
fn data_and_fin_together() {
    seeds(0..200, |seed| {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut weather = Weather::any(&mut rng);
        // All arrives at once, and leaves at once.
        weather.room = (600_000, 600_000);
        let world = World::new(seed, Some(weather));
        let (mut servers, numbers) = servers(&world, 1, 4);
        let messages = rng.random_range(0..20);
        let size = [3, 500, 9000][rng.random_range(0..3)];
        let mut bytes = REQUEST.to_vec();
        for n in 0..messages {
            bytes.extend(frame(2, &vec![n as u8; size]));
        }
        let polite = rng.random();
        if polite {
            bytes.extend(frame(8, &[3, 232]));
        }
        let mut raw = Raw { shut_after: true, ..Raw::dial(&world, bytes) };
        run(
            &world,
            &mut turns(&mut servers, &mut []),
            |world| raw.act(world),
            |world| {
                numbers.sum(|c| c.accepted.get()) > 0
                    && numbers.connections() == 0
                    && world.borrow().next_arrival().is_none()
            },
        );
        assert!(world.borrow().now < Duration::from_secs(1), "a timer cleaned up");
        assert_eq!(numbers.sum(|c| c.messages_in.get()), messages);
        let name = if polite { "closed_by_peer" } else { "eof" };
        assert_eq!(numbers.ends(name), 1);
        raw.act(&world);
        assert!(raw.ended && !raw.was_reset, "no answer was eaten by a reset");
        let header = if size < 126 { 2 } else { 4 };
        let head = raw.heard.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let close = if polite { 4 } else { 0 };
        assert_eq!(raw.heard.len() - head, messages as usize * (header + size) + close);
    });
}

/// A peer that always has more to read than anybody reads has one turn like all others: nobody
/// else waits longer than the network and a few turns.
#[test]
fn a_flood_does_not_starve_others() {
    seeds(0..4, |seed| {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut weather = Weather::any(&mut rng);
        weather.delay = (1, 50);
        weather.room = (100_000, 200_000);
        let world = World::new(seed, Some(weather));
        let mut plan = any_plan(&mut rng, &world, "/echo");
        plan.sizes = vec![20, 125];
        plan.messages = 10;
        plan.window = 1;
        let (mut servers, numbers) = servers(&world, 1, 4);
        let (mut client, report) = client(&world, 1, plan.clone());
        let mut floods: Vec<_> = (0..3).map(|_| Raw::dial(&world, REQUEST.to_vec())).collect();
        let kinds = [frame(10, b"unasked"), frame(2, &[7; 5000]), frame(9, b"ping")];
        let all = plan.connections as usize;
        run(
            &world,
            &mut turns(&mut servers, &mut [&mut client]),
            |world| {
                for (flood, kind) in floods.iter_mut().zip(&kinds) {
                    flood.act(world);
                    if !flood.heard.is_empty() {
                        // More of it is on its way all the time, and each arrival is an edge.
                        world.borrow_mut().flood(flood.half, kind);
                        flood.heard.truncate(1);
                    }
                }
            },
            |_| report.borrow().ends.len() == all,
        );
        assert_eq!(report.borrow().heard, u64::from(plan.connections * plan.messages));
        let reads = world.borrow().most_reads;
        assert!(reads <= 2, "{reads} reads of one connection in a turn");
        let slowest = report.borrow().slowest;
        assert!(slowest < Duration::from_millis(1), "an echo took {slowest:?}");
        assert!(numbers.sum(|c| c.bytes_in.get()) > 100_000, "the flood was read");
    });
}

/// A full descriptor table: no going round in circles, no forgotten listener. Once there is room,
/// whoever waits comes in.
#[test]
fn a_full_descriptor_table_recovers() {
    seeds(0..60, |seed| {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut weather = Weather::any(&mut rng);
        weather.table = 5;
        let world = World::new(seed, Some(weather));
        let (mut servers, numbers) = servers(&world, 1, 4);
        let mut raws: Vec<_> = (0..20).map(|_| Raw::dial(&world, REQUEST.to_vec())).collect();
        let mut shards = turns(&mut servers, &mut []);
        // Everybody stays for ten seconds: five are in, fifteen wait.
        let over = |world: &Shared| world.borrow().now >= Duration::from_secs(10);
        let mut alarm = Duration::ZERO;
        let turns = run(
            &world,
            &mut shards,
            |world| {
                act_all(&mut raws, world);
                alarm = world.borrow().now;
            },
            over,
        );
        assert_eq!(numbers.sum(|c| c.opened.get()), 5);
        assert_eq!(world.borrow().waiting(), 15);
        assert!(turns < 2000, "{turns} turns in {alarm:?} with nothing to do");
        // They leave, one wave after the other; no new connection rings the listener's bell.
        let mut left = 0;
        run(
            &world,
            &mut shards,
            |world| {
                for raw in raws.iter_mut().filter(|raw| !raw.heard.is_empty() && !raw.shut_after) {
                    raw.to_send.extend(frame(8, &[3, 232]));
                    raw.shut_after = true;
                    left += 1;
                }
                act_all(&mut raws, world);
            },
            |_| numbers.ends("closed_by_peer") == 20,
        );
        assert_eq!(left, 20);
        assert_eq!(numbers.connections(), 0);
    });
}

/// A crowd is pinged no faster than the pace allows, and those who are left of it as often as was
/// wished for.
#[test]
fn pings_slow_down_for_a_crowd_and_only_for_it() {
    let weather = Weather { delay: (1, 50), room: (1000, 1000), batch: 1000, table: usize::MAX };
    let world = World::new(1, Some(weather));
    let second = Duration::from_secs(1);
    let ping_interval = Some(second);
    let settings = Settings { ping_interval, pong_timeout: second, ..settings(Side::Server) };
    // 200 connections: one ping in 4 s for each. 20: the interval that was wished for.
    let limits = Limits { pings: Some(50), ..loop_limits() };
    let app = |_| Throttle::default();
    let (mut servers, numbers) = servers_under(&world, 1, 4, app, &settings, &limits);
    let plan = Plan {
        path: "/",
        connections: 20,
        messages: 0,
        window: 1,
        sizes: vec![1],
        gap: Duration::ZERO,
        broadcast: false,
        stays: true,
    };
    let (mut client, _) = client(&world, 1, plan);
    let mut silent: Vec<_> = (0..180).map(|_| Raw::dial(&world, REQUEST.to_vec())).collect();
    let mut clients = [&mut client];
    let mut shards = turns(&mut servers, &mut clients);
    let mut until = |seconds| {
        let end = Duration::from_secs(seconds);
        let act = |world: &Shared| act_all(&mut silent, world);
        run(&world, &mut shards, act, |world| world.borrow().now >= end);
        numbers.sum(|c| c.pings_out.get())
    };
    assert_eq!(until(4), 0, "nobody has been silent for 4 s yet");
    assert_eq!(numbers.connections(), 200);
    assert_eq!(until(5), 200, "everybody, once");
    // Most answered nothing, and are gone a second after their ping.
    let before = until(20);
    assert_eq!((numbers.ends("pong_timeout"), numbers.connections()), (180, 20));
    let one_each_second = until(30) - before;
    assert!((100..=200).contains(&one_each_second), "{one_each_second} in 10 s");
}

/// Those who came in one moment are pinged in one moment at first, and further apart each round.
#[test]
fn pings_of_those_who_came_together_drift_apart() {
    const CROWD: u64 = 240;
    const INTERVAL: u64 = 16;
    let weather = Weather { delay: (1, 50), room: (1000, 1000), batch: 1000, table: usize::MAX };
    let world = World::new(1, Some(weather));
    let ping_interval = Some(Duration::from_secs(INTERVAL));
    let settings = Settings { ping_interval, ..settings(Side::Server) };
    let app = |_| Throttle::default();
    let (mut servers, numbers) = servers_under(&world, 1, 4, app, &settings, &loop_limits());
    let plan = Plan {
        path: "/",
        connections: CROWD as u32,
        messages: 0,
        window: 1,
        sizes: vec![1],
        gap: Duration::ZERO,
        broadcast: false,
        stays: true,
    };
    let (mut client, _) = client(&world, 1, plan);
    let mut clients = [&mut client];
    let mut shards = turns(&mut servers, &mut clients);
    let mut until = |seconds| {
        let end = Duration::from_secs(seconds);
        run(&world, &mut shards, |_| {}, |world| world.borrow().now >= end);
        assert_eq!(numbers.connections(), CROWD, "everybody answers");
        numbers.sum(|c| c.pings_out.get())
    };
    // The most in one second of a round, and the whole round.
    let mut round = |from| {
        let before = until(from);
        let sums: Vec<_> = (1..=INTERVAL).map(|second| until(from + second)).collect();
        let seconds = std::iter::once(&before).chain(&sums).zip(&sums).map(|(a, b)| b - a);
        (seconds.max().unwrap_or_default(), sums[sums.len() - 1] - before)
    };
    let (busiest, all) = round(8);
    assert_eq!(all, CROWD, "once each");
    assert!((CROWD / 4..=CROWD * 3 / 4).contains(&busiest), "an eighth of 16 s: {busiest}");
    let (busiest, all) = round(12 * INTERVAL);
    assert!((CROWD * 7 / 8..=CROWD * 9 / 8).contains(&all), "{all}: the mean stays");
    assert!(busiest <= 3 * CROWD / INTERVAL, "{busiest} in one second of {INTERVAL}");
}

/// Hundreds leave at one blow, by FIN and by reset, while others come in: those are served at once,
/// and every place is given back.
#[test]
fn accepts_go_on_while_hundreds_leave() {
    seeds(0..20, |seed| {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut weather = Weather::any(&mut rng);
        weather.delay = (1, 200);
        weather.room = (2000, 5000);
        let world = World::new(seed, Some(weather));
        let (mut servers, numbers) = servers(&world, 2, 4);
        let greeting = [REQUEST, &frame(1, b"hello")[..]].concat();
        let dial = || Raw::dial(&world, greeting.clone());
        let mut old: Vec<_> = (0..300).map(|_| dial()).collect();
        run(
            &world,
            &mut turns(&mut servers, &mut []),
            |world| act_all(&mut old, world),
            |_| numbers.sum(|c| c.messages_in.get()) == 300,
        );
        let began = world.borrow().now;
        for raw in &mut old {
            if rng.random() {
                raw.kill(&world);
            } else {
                raw.shut_after = true;
            }
        }
        let mut new: Vec<_> = (0..100).map(|_| dial()).collect();
        run(
            &world,
            &mut turns(&mut servers, &mut []),
            |world| act_all(old.iter_mut().chain(&mut new), world),
            |_| numbers.connections() == 100 && numbers.sum(|c| c.messages_in.get()) == 400,
        );
        let took = world.borrow().now.saturating_sub(began);
        assert!(took < Duration::from_millis(50), "it took {took:?}");
        assert_eq!(numbers.ends("eof") + numbers.ends("socket_error"), 300);
        assert!(new.iter().all(|raw| !raw.ended && !raw.was_reset));
        assert_eq!(numbers.sum(|c| c.buffered_bytes.get()), 0);
    });
}

/// Peers that sin, stop, trickle and reset among peers that talk: the talk goes on untouched, and
/// all memory comes back.
#[test]
fn bad_neighbours_harm_nobody() {
    seeds(0..80, |seed| {
        let mut rng = StdRng::seed_from_u64(seed);
        let world = World::new(seed, None);
        let plan = any_plan(&mut rng, &world, "/echo");
        let (mut servers, numbers) = servers(&world, 2, 4);
        let (mut client, report) = client(&world, 2, plan.clone());
        let noise = |rng: &mut StdRng| {
            let mut bytes = REQUEST[..rng.random_range(0..=REQUEST.len())].to_vec();
            for _ in 0..rng.random_range(0..6) {
                let payload = vec![rng.random(); rng.random_range(0..20_000)];
                bytes.extend(frame(rng.random_range(0..11), &payload));
            }
            bytes.truncate(bytes.len() - rng.random_range(0..=bytes.len().min(100)));
            bytes
        };
        let mut bad: Vec<_> = (0..8).map(|_| Raw::dial(&world, noise(&mut rng))).collect();
        let dates: Vec<_> =
            (0..8).map(|_| Duration::from_micros(rng.random_range(0..30_000))).collect();
        let all = plan.connections as usize;
        run(
            &world,
            &mut turns(&mut servers, &mut [&mut client]),
            |world| {
                let now = world.borrow().now;
                for (n, (raw, date)) in bad.iter_mut().zip(&dates).enumerate() {
                    match n % 4 {
                        0 if now >= *date => raw.kill(world),
                        1 => raw.shut_after = true,
                        // Reads nothing, says nothing more.
                        2 if now >= *date => {}
                        _ => raw.act(world),
                    }
                }
            },
            |_| report.borrow().ends.len() == all && numbers.connections() == 0,
        );
        let peace = |end: &&String| *end == "ClosedByUs(CloseCode(1000))";
        let report = report.borrow();
        assert_eq!(report.ends.iter().filter(peace).count(), all, "{:?}", report.ends);
        assert_eq!(report.heard, u64::from(plan.connections * plan.messages));
        assert_eq!(numbers.sum(|c| c.buffered_bytes.get()), 0);
    });
}
