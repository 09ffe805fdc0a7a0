//! What people write, and what they are told.

#![allow(clippy::unwrap_used)]

use super::*;

fn raw(set: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::default();
    set(&mut options);
    options
}

#[test]
fn nothing_given_is_the_default() {
    assert_eq!(Config::from_options(&Options::default()), Ok(Config::default()));
}

#[test]
fn each_option_arrives() {
    let options = Options {
        listen: Some("[::1]:0".into()),
        admin: Some("[::1]:1".into()),
        threads: Some("3".into()),
        no_pin: true,
        max_connections: Some("100k".into()),
        max_per_address: Some("50".into()),
        max_message: Some("32MiB".into()),
        max_pending: Some("64k".into()),
        max_buffered: Some("2g".into()),
        allow_origin: vec!["https://Example.org".into(), "null".into(), "*".into()],
        subprotocol: vec!["chat.v1".into()],
        handshake_timeout: Some("500ms".into()),
        ping_interval: Some("0".into()),
        pong_timeout: Some("1s".into()),
        idle_timeout: Some("2m".into()),
        close_timeout: Some("3s".into()),
        drain_timeout: Some("1h".into()),
        congestion: Some("bbr".into()),
        read_buffer: Some("65536".into()),
        token_hmac_secret: Some("hush".into()),
        token_public_key: vec!["a.pem".into()],
        token_jwks: Some("set.json".into()),
        token_audience: Some("chat".into()),
        token_issuer: Some("us".into()),
        token_cookie: None,
        rooms_open: true,
        i_know: false,
        api_key: Some("key".into()),
        config: None,
        namespaces: vec![Namespace::default()],
    };
    let config = Config {
        listen: "[::1]:0".parse().unwrap(),
        admin: Some("[::1]:1".parse().unwrap()),
        threads: Threads::Count(3),
        pin: false,
        max_connections: Some(100_000),
        max_per_address: Some(50),
        max_message: 32 << 20,
        max_pending: 64 << 10,
        max_buffered: Some(2 << 30),
        allow_origin: vec!["https://example.org".into(), "null".into(), "*".into()],
        subprotocols: vec!["chat.v1".into()],
        handshake_timeout: Duration::from_millis(500),
        ping_interval: None,
        ping_rate: None,
        pong_timeout: Duration::from_secs(1),
        idle_timeout: Some(Duration::from_mins(2)),
        close_timeout: Duration::from_secs(3),
        drain_timeout: Duration::from_hours(1),
        congestion: Some("bbr".into()),
        read_buffer: 65536,
        rooms: Rooms {
            open: true,
            tokens: Tokens {
                hmac_secret: Some("hush".into()),
                public_keys: vec!["a.pem".into()],
                jwks: Some("set.json".into()),
                audience: Some("chat".into()),
                issuer: Some("us".into()),
                cookie: None,
            },
            namespaces: vec![Namespace::default()],
        },
        api_key: Some("key".into()),
    };
    assert_eq!(Config::from_options(&options), Ok(config));
}

#[test]
fn every_bad_value_names_input_rule_and_remedy() {
    let some = |text: &str| Some(text.to_owned());
    let table = vec![
        (
            raw(|o| o.listen = some("localhost")),
            "--listen 'localhost': not an IP",
            "127.0.0.1:9001",
        ),
        (raw(|o| o.listen = some("1.2.3.4:70000")), "--listen '1.2.3.4:70000'", "[::1]:9001"),
        (raw(|o| o.admin = some("on")), "--admin 'on': not an IP", "or off"),
        (
            raw(|o| o.admin = some("127.0.0.1:9001")),
            "the same address as --listen",
            "different ports",
        ),
        (raw(|o| o.threads = some("0")), "--threads '0': neither auto nor", "such as 2"),
        (raw(|o| o.threads = some("-1")), "--threads '-1'", "such as 2"),
        (raw(|o| o.threads = some("1025")), "from 1 to 1024", "such as 2"),
        (raw(|o| o.max_connections = some("many")), "'many': not a count", "such as 100k"),
        (raw(|o| o.max_per_address = some("0")), "not from 1 to", "in that range"),
        (raw(|o| o.max_connections = some("0")), "not from 1 to", "in that range"),
        (raw(|o| o.max_message = some("12x")), "--max-message '12x': not a size", "such as 256KiB"),
        (raw(|o| o.max_message = some("")), "--max-message '': not a size", "KiB"),
        (raw(|o| o.max_message = some("0")), "not from 1 to 1073741824", "in that range"),
        (raw(|o| o.max_message = some("99999999999999999999g")), "not a size", "KiB"),
        (raw(|o| o.max_message = some("17179869184g")), "not a size", "KiB"),
        (
            raw(|o| o.max_pending = some("100")),
            "--max-pending '100': not from 2032",
            "in that range",
        ),
        (
            raw(|o| o.read_buffer = some("1k")),
            "--read-buffer '1k': not from 16384",
            "in that range",
        ),
        (
            raw(|o| o.allow_origin = vec!["example.org".into()]),
            "not an origin",
            "https://example.org",
        ),
        (raw(|o| o.allow_origin = vec!["https://a.b/c".into()]), "not an origin", "browsers send"),
        (raw(|o| o.allow_origin = vec!["https://*.b".into()]), "not an origin", "browsers send"),
        (
            raw(|o| o.subprotocol = vec!["a b".into()]),
            "--subprotocol 'a b': not a token",
            "chat.v1",
        ),
        (raw(|o| o.subprotocol = vec![String::new()]), "not a token", "chat.v1"),
        (
            raw(|o| o.ping_interval = some("25")),
            "--ping-interval '25': not a duration",
            "such as 25s",
        ),
        (raw(|o| o.ping_interval = some("1.5s")), "not a duration", "whole number"),
        (raw(|o| o.idle_timeout = some("10ms")), "not from 250 ms", "such as 25s"),
        (raw(|o| o.idle_timeout = some("25h")), "to 24h", "such as 25s"),
        (raw(|o| o.handshake_timeout = some("off")), "can not be off", "such as 10s"),
        (raw(|o| o.pong_timeout = some("0ms")), "can not be off", "such as 10s"),
        (raw(|o| o.close_timeout = some("soon")), "not a duration", "such as 25s"),
        (raw(|o| o.drain_timeout = some("0")), "can not be off", "such as 10s"),
        (raw(|o| o.congestion = some("b b r")), "not the name of a congestion", "such as cubic"),
        (raw(|o| o.congestion = some("")), "not the name of a congestion", "such as cubic"),
    ];
    for (options, rule, remedy) in table {
        let error = Config::from_options(&options).unwrap_err().to_string();
        assert!(error.contains(rule), "{error}: {rule}");
        assert!(error.contains(remedy), "{error}: {remedy}");
    }
}

#[test]
fn rooms_and_keys_that_would_let_anybody_in_are_refused() {
    let some = |text: &str| Some(text.to_owned());
    let secret = |text: &str| Some(Secret::from(text));
    let cookie = |origins: &[&str]| {
        raw(|o| {
            o.token_hmac_secret = secret("s");
            o.token_cookie = some("token");
            o.allow_origin = origins.iter().map(|&origin| origin.to_owned()).collect();
        })
    };
    let open = |listen: &str| raw(|o| (o.rooms_open, o.listen) = (true, Some(listen.to_owned())));
    let table = vec![
        (raw(|o| o.token_hmac_secret = secret("")), "--token-hmac-secret '': an empty", "openssl"),
        (raw(|o| o.api_key = secret("")), "--api-key '': an empty", "openssl"),
        (raw(|o| o.api_key = secret("a b")), "--api-key 'not shown'", "without spaces"),
        (
            raw(|o| (o.api_key, o.admin) = (secret("k"), some("off"))),
            "the admin address, which is off",
            "give --admin an address",
        ),
        (raw(|o| o.token_audience = some("a")), "--token-audience 'a': there is no key", "add"),
        (raw(|o| o.token_issuer = some("a")), "--token-issuer 'a'", "--token-jwks"),
        (raw(|o| o.token_cookie = some("a")), "--token-cookie 'a'", "--token-public-key"),
        (cookie(&[]), "any page could use", "--allow-origin https://example.org"),
        (cookie(&["https://a.b", "*"]), "any page could use", "--allow-origin"),
        (
            raw(|o| (o.token_hmac_secret, o.token_cookie) = (secret("s"), some("a=b"))),
            "--token-cookie 'a=b': not a token",
            "such as token",
        ),
        (
            raw(|o| o.token_public_key = vec!["f".to_owned(); 9]),
            "--token-public-key 'f': more than 8 files",
            "--token-jwks",
        ),
        (
            raw(|o| o.namespaces = vec![Namespace::default()]),
            "nobody could come in",
            "--token-hmac-secret, or --rooms-open",
        ),
        (open("0.0.0.0:9001"), "--rooms-open '0.0.0.0:9001': whoever reaches", "--i-know"),
        (open("[::]:0"), "--rooms-open '[::]:0'", "--token-hmac-secret"),
    ];
    for (options, rule, remedy) in table {
        let error = Config::from_options(&options).unwrap_err().to_string();
        assert!(error.contains(rule) && error.contains(remedy), "{error}: {rule}");
        assert!(!error.contains("a b"), "{error}");
    }
    for listen in ["127.0.0.1:0", "127.8.8.8:1", "[::1]:0"] {
        assert!(Config::from_options(&open(listen)).unwrap().rooms.are_wanted());
    }
    let known = Options { i_know: true, ..open("0.0.0.0:0") };
    assert!(Config::from_options(&known).unwrap().rooms.open);
    assert!(Config::from_options(&cookie(&["https://a.b"])).is_ok());
    assert!(!Config::default().rooms.are_wanted());
}

#[test]
fn debug_shows_no_secret() {
    let options = raw(|o| {
        o.token_hmac_secret = Some("hush hush".into());
        o.api_key = Some("hush-hush".into());
    });
    let said = format!("{options:?} {:?}", Config::from_options(&options));
    assert!(!said.contains("hush") && said.contains("Secret(..)"), "{said}");
}

#[test]
fn a_hostile_input_stays_on_its_line() {
    let error = Config::from_options(&raw(|o| o.listen = Some("a\nERROR: b\x1b[2J".into())));
    let text = error.unwrap_err().to_string();
    assert!(text.contains(r"a\nERROR: b\u{1b}[2J"), "{text}");
}

const SMALL: Machine = Machine {
    cores: 2,
    open_files: 20_000,
    memory: Some(8 << 30),
    private_tables: true,
    system: System { files: None, watches: None, tracked: None },
};

#[test]
fn one_shard_for_each_core_by_default() {
    let plan = Config::default().plan(&SMALL).unwrap();
    assert_eq!((plan.shards, plan.max_connections, plan.per_shard), (2, 35_820, 19_900));
    assert_eq!((plan.max_buffered, plan.note), (1 << 30, None));
}

#[test]
fn connections_beyond_the_tables_add_shards() {
    let config = Config { max_connections: Some(100_000), ..Config::default() };
    let plan = config.plan(&SMALL).unwrap();
    assert_eq!((plan.shards, plan.max_connections, plan.per_shard), (6, 100_000, 19_900));
    assert_eq!(plan.note.as_deref(), Some("open-file limit 20000: using 6 shards"));
}

#[test]
fn a_few_connections_keep_the_cores_and_a_small_table() {
    let config = Config { max_connections: Some(10), ..Config::default() };
    let plan = config.plan(&SMALL).unwrap();
    assert_eq!((plan.shards, plan.max_connections, plan.per_shard), (2, 10, 1_034));
}

#[test]
fn shards_asked_for_must_hold_the_connections() {
    let mut config =
        Config { threads: Threads::Count(2), max_connections: Some(100_000), ..Config::default() };
    let error = config.plan(&SMALL).unwrap_err().to_string();
    assert!(error.contains("'100000': 2 shards hold 39800 at the open-file limit of 20000"));
    assert!(error.contains("--threads 6"), "{error}");
    config.threads = Threads::Count(6);
    assert_eq!(config.plan(&SMALL).unwrap().shards, 6);
    // So many shards that their wakers take more of each table than is reserved for few.
    (config.threads, config.max_connections) = (Threads::Count(56), Some(1_114_400));
    let error = config.plan(&SMALL).unwrap_err().to_string();
    assert!(error.contains("56 shards hold 1112832 at the open-file limit of 20000"), "{error}");
}

#[test]
fn a_tiny_machine_is_told_and_a_limitless_one_is_bounded() {
    let tiny = Machine { cores: 1, open_files: 64, memory: None, ..SMALL };
    let error = Config::default().plan(&tiny).unwrap_err().to_string();
    assert!(error.contains("open-file limit '64'") && error.contains("ulimit -Hn"), "{error}");
    let endless = Machine { cores: 0, open_files: u64::MAX, memory: Some(1 << 30), ..SMALL };
    let plan = Config::default().plan(&endless).unwrap();
    assert_eq!((plan.shards, plan.max_connections, plan.per_shard), (1, 943_628, 944_652));
    assert_eq!(plan.max_buffered, 256 << 20);
}

#[test]
fn more_shards_than_there_may_be_are_an_error_not_an_attempt() {
    let config = Config { max_connections: Some(4_000_000_000), ..Config::default() };
    let error = config.plan(&SMALL).unwrap_err().to_string();
    assert!(error.contains("--max-connections '4000000000'"), "{error}");
    assert!(error.contains("there may be 1024") && error.contains("ask for"), "{error}");
    let most = Config { max_connections: Some(1024 * 16_142), ..Config::default() };
    assert_eq!(most.plan(&SMALL).unwrap().shards, 1024);
    let two = Config { threads: Threads::Count(2), ..config };
    let error = two.plan(&SMALL).unwrap_err().to_string();
    assert!(!error.contains("--threads") && error.contains("raise the hard limit"), "{error}");
}

#[test]
fn one_peer_may_not_hold_more_than_all() {
    let mut config = Config { max_message: 1 << 30, ..Config::default() };
    assert_eq!(config.plan(&SMALL).unwrap().max_buffered, 1 << 30);
    let two_gb = Machine { memory: Some(2 << 30), ..SMALL };
    let error = config.plan(&two_gb).unwrap_err().to_string();
    assert!(error.contains("--max-buffered '536870912'") && error.contains("lower"), "{error}");
    config.max_buffered = Some(1 << 20);
    let error = config.plan(&SMALL).unwrap_err().to_string();
    assert!(error.contains("less than the 1073741824 bytes that one peer may hold"), "{error}");
    assert!(error.contains("such as 1GiB"), "{error}");
}

#[test]
fn where_tables_can_not_part_one_table_holds_all() {
    let shared = Machine { private_tables: false, ..SMALL };
    let plan = Config::default().plan(&shared).unwrap();
    assert_eq!((plan.shards, plan.max_connections), (2, 17_910));
    let warning = plan.warning.unwrap();
    assert!(warning.contains("unshare") && warning.contains("17910"), "{warning}");
    assert_eq!(Config::default().plan(&SMALL).unwrap().warning, None);
    for threads in [Threads::Auto, Threads::Count(6)] {
        let config = Config { max_connections: Some(100_000), threads, ..Config::default() };
        let error = config.plan(&shared).unwrap_err().to_string();
        assert!(error.contains("share one table here, which holds 19900"), "{error}");
    }
}

#[test]
fn a_million_is_planned_on_two_cores() {
    let config = Config { max_connections: Some(1_000_000), ..Config::default() };
    let plan = config.plan(&SMALL).unwrap();
    // 112 wakers of both groups and 16 of its own leave 19,872 of each table.
    assert_eq!((plan.shards, plan.per_shard, plan.pings_per_shard), (56, 19_872, Some(178)));
    assert_eq!(
        plan.note.as_deref(),
        Some(
            "open-file limit 20000: using 56 shards; with all 1000000 connections a ping follows \
             101 s of silence instead of 25 (--ping-interval)"
        )
    );
    let asked = Config { ping_rate: None, ..config.clone() };
    assert_eq!(asked.plan(&SMALL).unwrap().pings_per_shard, None, "who asks for 25 s gets 25 s");
    let taken = |most| Some(Use { most, now: most - 1 });
    let busy = System { files: taken(1_100_000), tracked: taken(1_000_000), ..System::default() };
    assert!(config.plan(&Machine { system: busy, ..SMALL }).is_ok(), "tracked nearly full");
    let narrow = System { tracked: taken(999_999), ..System::default() };
    let error = config.plan(&Machine { system: narrow, ..SMALL }).unwrap_err().to_string();
    assert!(error.contains("sysctl -w net.netfilter.nf_conntrack_max=1000000"), "{error}");
    let few = System { watches: Some(900_000), ..System::default() };
    let error = config.plan(&Machine { system: few, ..SMALL }).unwrap_err().to_string();
    assert!(error.contains("sysctl -w fs.epoll.max_user_watches=1010000"), "{error}");
}
