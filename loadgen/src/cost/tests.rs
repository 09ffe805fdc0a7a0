//! A watch over threads that burn known amounts.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

fn spin(for_: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < for_ {
        std::hint::spin_loop();
    }
}

fn health(threads: &[(&[usize], u64)]) -> GeneratorHealth {
    let threads = threads.iter().map(|(cores, ms)| ThreadUse {
        cores: cores.to_vec(),
        cpu: Duration::from_millis(*ms),
        ..ThreadUse::default()
    });
    GeneratorHealth {
        threads: threads.collect(),
        wall: Duration::from_secs(1),
        ..GeneratorHealth::default()
    }
}

#[test]
fn threads_of_one_core_are_added_up() {
    let health = health(&[(&[0], 400), (&[1], 300), (&[0], 500), (&[0, 1], 500)]);
    let percents = health.core_percents();
    assert_eq!(percents[0].0, [0]);
    assert!((percents[0].1 - 90.0).abs() < 1e-9);
    assert!((percents[1].1 - 30.0).abs() < 1e-9);
    assert!((percents[2].1 - 25.0).abs() < 1e-9, "two cores make 200 %");
    assert!((health.busiest_thread_percent() - 50.0).abs() < 1e-9);
    assert_eq!(health.cpu(), Duration::from_millis(1700));
}

#[test]
fn ended_threads_are_not_forgotten() {
    let ms = Duration::from_millis;
    let begin = CpuSample { living: ms(100), ever: ms(100) };
    assert_eq!(begin.until(CpuSample { living: ms(395), ever: ms(400) }), ms(295));
    assert_eq!(begin.until(CpuSample { living: ms(50), ever: ms(400) }), ms(300));
}

#[test]
fn a_window_sees_what_named_threads_burn_and_nothing_else() {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let worker = |name: &str, busy: bool| {
            let stop = &stop;
            let body = move || {
                while !stop.load(Relaxed) {
                    if busy { spin(Duration::from_millis(1)) } else { thread::park() }
                }
            };
            thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, body).unwrap()
        };
        let threads = [worker("loadgen-0", true), worker("loadgen-1", false)];
        let servers = [worker("plimsoll-0", true), worker("other", true)];
        let mut watch = Watch::idle(Some(Subject::Embedded)).unwrap();
        thread::sleep(Duration::from_millis(50));
        watch.connected();
        watch.window_begins();
        thread::sleep(Duration::from_millis(300));
        watch.window_ends();
        let (health, server, notes) = watch.finish();
        stop.store(true, Relaxed);
        threads.iter().chain(&servers).for_each(|handle| handle.thread().unpark());

        let names: Vec<_> = health.threads.iter().map(|thread| thread.name.as_str()).collect();
        assert_eq!(names, ["loadgen-0", "loadgen-1"]);
        // On a full machine most of the time goes into waiting, and the sum tells the same.
        let (busy, idle) = (&health.threads[0], &health.threads[1]);
        assert!(health.percent(busy.cpu + busy.waited) > 80.0, "{health:?}");
        assert!(busy.cpu > Duration::from_millis(1), "{health:?}");
        assert!(health.percent(idle.cpu) < 5.0, "{health:?}");
        assert!(!health.threads[0].cores.is_empty());
        let server = server.unwrap();
        for setup in [health.setup, server.setup] {
            assert!(setup.cpu > Duration::from_millis(1), "{setup:?}");
            assert!(setup.cpu < Duration::from_secs(1) && setup.rss_connected > 0, "{setup:?}");
        }
        assert!(server.cpu > Duration::from_millis(1), "{server:?}");
        // One thread: what the thread of another name burns is not charged.
        assert!(server.cpu <= health.wall + Duration::from_millis(20), "{server:?}");
        assert!(server.shared_process && server.setup.rss_idle > 0 && server.rss_after > 0);
        // The first look is made at once, the second would be after a second.
        assert!(!server.samples.is_empty() && server.samples[0].t_s < 0.0, "{server:?}");
        assert!(server.samples[0].rss_bytes.is_some_and(|bytes| bytes > 0), "{server:?}");
        assert_eq!((server.pid, server.page), (Some(std::process::id()), None));
        assert!(notes.is_empty(), "{notes:?}");
    });
}

#[test]
fn a_process_that_is_not_there_is_named() {
    // Above the kernel's largest process id, 2^22.
    let error = Watch::idle(Some(Subject::Process(1 << 23))).unwrap_err().to_string();
    assert!(error.contains("--server-pid 8388608") && error.contains("drop"), "{error}");
}

/// Its page is looked at before the first connection, so a typing error costs no run.
#[test]
fn a_page_that_is_not_there_is_named() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let page = Endpoint { host: "127.0.0.1".to_owned(), port, path: "/metrics".to_owned() };
    let error = Watch::idle(Some(Subject::Page(page))).unwrap_err().to_string();
    let said =
        format!("--server-metrics http://127.0.0.1:{port}/metrics: connection refused; give");
    assert!(error.starts_with(&said), "{error}");
}

#[test]
fn per_connection_and_per_message() {
    let cost = ServerCost {
        setup: Setup { rss_idle: 1000, rss_connected: 6000, ..Setup::default() },
        ..ServerCost::default()
    };
    assert_eq!(cost.bytes_per_connection(10), Some(500.0));
    assert_eq!(cost.bytes_per_connection(0), None);
    assert_eq!(ServerCost::default().bytes_per_connection(10), None);
    let kernel = |named| KernelGrowth {
        socket_bytes: 1000,
        slab_bytes: 9000,
        socket_slab_bytes: named,
        ..KernelGrowth::default()
    };
    let cost = |named| ServerCost { kernel: kernel(named), ..ServerCost::default() };
    assert_eq!(cost(Some(4000)).kernel_bytes_per_connection(10), Some(500.0));
    assert_eq!(cost(None).kernel_bytes_per_connection(10), Some(1000.0));
    assert_eq!(cost(None).kernel_bytes_per_connection(0), None);
    assert_eq!(us_per_message(Duration::from_millis(6), 1000), Some(6.0));
    assert_eq!(us_per_message(Duration::from_millis(6), 0), None);
}
