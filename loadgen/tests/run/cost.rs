//! What a server costs, by a page of metrics that it serves.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::server::{Manner, Server};
use super::{go, start};

/// Serves a page until the process ends; its CPU time grows by 10 ms with each look. After `good`
/// looks it answers 500.
fn page(good: u32) -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    let (looks, count) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let seen = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let n = looks.fetch_add(1, Relaxed);
            let mut asked = [0; 1024];
            let _ = stream.read(&mut asked);
            let page = format!(
                "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total {:.2}\n\
                 process_resident_memory_bytes {}\n",
                f64::from(n) / 100.0,
                (n + 1) << 20
            );
            let status = if n < good { "200 OK" } else { "500 Oops" };
            let length = page.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
            let _ = stream.write_all([head, page].concat().as_bytes());
            seen.fetch_add(1, Relaxed);
        }
    });
    (url, count)
}

#[test]
fn a_server_tells_its_cost_by_itself() {
    let server = Server::start(Manner::Echo);
    let (url, count) = page(u32::MAX);
    let line = format!("-c 5 -R 100 -d 2500ms --warmup 0ms --server-metrics {url}");
    let outcome = go(&server, &line).unwrap();
    let cost = outcome.server.unwrap();
    assert_eq!((cost.pid, cost.page.as_deref()), (None, Some(url.as_str())));
    // At the ends of the phases, and each second: at 0, 1 and 2 s at least.
    let (samples, looks) = (&cost.samples, count.load(Relaxed) as usize);
    assert!(samples.len() >= 3 && looks == samples.len() + 4, "{looks}: {samples:?}");
    assert!(samples.windows(2).all(|pair| pair[0].t_s < pair[1].t_s));
    assert!(samples.windows(2).all(|pair| pair[0].cpu_seconds < pair[1].cpu_seconds));
    // 10 ms for each look in the window: two seconds of it and its end.
    let ms = cost.cpu.as_millis();
    assert!((10..=10 * looks as u128).contains(&ms), "{ms}");
    assert_eq!(cost.setup.rss_idle, 1 << 20, "the first look of all");
    assert!(cost.rss_after > cost.setup.rss_connected);
}

#[test]
fn looks_that_fail_are_told() {
    let server = Server::start(Manner::Echo);
    let (url, _) = page(2);
    let line = format!("-c 2 -R 100 -d 1500ms --warmup 0ms --server-metrics {url}");
    let outcome = go(&server, &line).unwrap();
    // Without the window's ends there is no cost, and nothing is made up.
    assert!(outcome.server.is_none());
    let noted = |words: &str| outcome.notes.iter().any(|note| note.contains(words));
    assert!(noted("looks at the server failed: the server answered 500"), "{:?}", outcome.notes);
    assert!(noted("the server's cost is not known"), "{:?}", outcome.notes);
    let (none, _) = page(0);
    let error = start(&format!("ws://{}/ -c 2 --server-metrics {none}", server.address));
    let error = error.err().unwrap().to_string();
    let said = format!("--server-metrics {none}: the server answered 500; give the address of");
    assert!(error.starts_with(&said), "{error}");
}
