//! What a server tells of itself: its page of metrics in Prometheus' text format 0.0.4, fetched by
//! a GET of its own and read strictly. Both are bounded in time and length.
//!
//! Only the two names count that each client library gives to a process: its CPU time and its
//! resident memory. Of several processes behind one page, told apart by labels, the sum counts.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::cli::plan::Endpoint;
use crate::human::reason;

/// CPU of all threads that ever lived, user and system, in seconds.
const CPU: &str = "process_cpu_seconds_total";
/// Bytes in RAM.
const RESIDENT: &str = "process_resident_memory_bytes";

/// From the connect to the last byte.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of an answer, head included: a page of a server with 10,000 series has about 1 MiB.
const MOST_BYTES: u64 = 8 << 20;

/// What a page said.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Told {
    pub(super) cpu: Duration,
    /// Not every system can tell.
    pub(super) resident: Option<u64>,
}

/// Fetches and reads a page; an error in words.
pub(super) fn look(to: SocketAddr, page: &Endpoint) -> Result<Told, String> {
    let answer = get(to, page)?;
    read(body(&answer)?)
}

/// HTTP/1.0, so that an answer comes in one piece and ends with its connection (RFC 9112 6.1, 6.3).
fn get(to: SocketAddr, page: &Endpoint) -> Result<Vec<u8>, String> {
    let until = Instant::now() + TIMEOUT;
    let words = |error: std::io::Error| match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => {
            format!("no whole answer in {} s", TIMEOUT.as_secs())
        }
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => reason(&error),
    };
    let mut stream = TcpStream::connect_timeout(&to, TIMEOUT).map_err(words)?;
    let request = format!(
        "GET {} HTTP/1.0\r\nHost: {}\r\nAccept: text/plain;version=0.0.4\r\n\r\n",
        page.path,
        page.host_header()
    );
    stream.set_write_timeout(Some(TIMEOUT)).map_err(words)?;
    stream.write_all(request.as_bytes()).map_err(words)?;
    let (mut answer, mut bytes) = (Vec::new(), [0; 16 << 10]);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(words(ErrorKind::TimedOut.into()));
        }
        stream.set_read_timeout(Some(left)).map_err(words)?;
        match stream.read(&mut bytes) {
            Ok(0) => return Ok(answer),
            Ok(n) => answer.extend_from_slice(&bytes[..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(words(error)),
        }
        if answer.len() as u64 > MOST_BYTES {
            return Err(format!("the answer is longer than {} MiB", MOST_BYTES >> 20));
        }
    }
}

/// The body of a whole answer with status 200.
fn body(answer: &[u8]) -> Result<&str, String> {
    let not_http = || "the answer is not HTTP/1: is this the port of the metrics?".to_owned();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(not_http)?;
    let head = std::str::from_utf8(&answer[..end]).map_err(|_| not_http())?;
    let body = &answer[end + 4..];
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1."));
    let status = status.and_then(|rest| rest.split(' ').nth(1)).ok_or_else(not_http)?;
    if status != "200" {
        return Err(format!("the server answered {}", status.escape_debug()));
    }
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("Transfer-Encoding") {
            return Err("the answer comes in chunks, which HTTP/1.0 does not know".to_owned());
        }
        if name.eq_ignore_ascii_case("Content-Encoding") {
            return Err("the answer is compressed, which was not asked for".to_owned());
        }
        if name.eq_ignore_ascii_case("Content-Length") && value.parse() != Ok(body.len()) {
            let promised = value.escape_debug();
            return Err(format!("{} bytes came where {promised} were promised", body.len()));
        }
    }
    std::str::from_utf8(body).map_err(|_| "the page is not UTF-8".to_owned())
}

/// Reads a page. Each line must be a sample, a comment or empty: of a page of another kind nothing
/// is believed.
pub(super) fn read(page: &str) -> Result<Told, String> {
    let (mut cpu, mut resident) = (None, None);
    for (at, line) in (1..).zip(page.lines()) {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) =
            sample(line).ok_or_else(|| format!("line {at} is no sample of a metric"))?;
        let sum = match name {
            CPU => &mut cpu,
            RESIDENT => &mut resident,
            _ => continue,
        };
        if !(0.0..=1e18).contains(&value) {
            return Err(format!("line {at}: {name} cannot be {value}"));
        }
        *sum.get_or_insert(0.0) += value;
    }
    let cpu = cpu.ok_or_else(|| format!("the page does not tell {CPU}"))?;
    let cpu = Duration::try_from_secs_f64(cpu).map_err(|_| format!("{CPU} cannot be {cpu}"))?;
    Ok(Told { cpu, resident: resident.map(|bytes| bytes as u64) })
}

/// `name{label="value",...} value timestamp`, of which labels and timestamp may be missing.
fn sample(line: &str) -> Option<(&str, f64)> {
    let named = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b':';
    let end = line.bytes().position(|b| !named(b))?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
        return None;
    }
    let rest = match rest.strip_prefix('{') {
        Some(labels) => after_labels(labels)?,
        None => rest,
    };
    let mut words = rest.split_ascii_whitespace();
    let value = words.next()?.parse().ok()?;
    let stamped = words.next().is_none_or(|stamp| stamp.parse::<i64>().is_ok());
    (stamped && words.next().is_none()).then_some((name, value))
}

/// What follows the closing brace: not one that stands in a value.
fn after_labels(labels: &str) -> Option<&str> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in labels.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(&labels[at + 1..]),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn told(ms: u64, resident: Option<u64>) -> Told {
        Told { cpu: Duration::from_millis(ms), resident }
    }

    #[test]
    fn pages() {
        let plain = "# HELP process_cpu_seconds_total CPU\n\
                     # TYPE process_cpu_seconds_total counter\n\
                     process_cpu_seconds_total 12.25\nprocess_resident_memory_bytes 5.24288e+06\n";
        assert_eq!(read(plain), Ok(told(12_250, Some(5_242_880))));
        let several = "process_cpu_seconds_total{pid=\"1\",a=\"}\\\"{\"} 1 1700000000000\r\n\
                       process_cpu_seconds_total{pid=\"2\",} 0.5\r\n\r\n\
                       other_bucket{le=\"+Inf\"} +Inf\nother:sum NaN\n# EOF\n";
        assert_eq!(read(several), Ok(told(1500, None)));
        assert_eq!(read("process_cpu_seconds_total 0"), Ok(told(0, None)));
    }

    #[test]
    fn pages_that_are_none() {
        for (page, words) in [
            ("", "does not tell process_cpu_seconds_total"),
            ("process_resident_memory_bytes 5\n", "does not tell process_cpu_seconds_total"),
            ("process_cpu_seconds_total_x 5\n", "does not tell"),
            ("<html>\n", "line 1 is no sample"),
            ("a 1\nprocess_cpu_seconds_total\n", "line 2 is no sample"),
            ("process_cpu_seconds_total 1 2 3\n", "line 1 is no sample"),
            ("process_cpu_seconds_total 1 soon\n", "line 1 is no sample"),
            ("process_cpu_seconds_total{a=\"b 1\n", "line 1 is no sample"),
            ("9a 1\n", "line 1 is no sample"),
            ("process_cpu_seconds_total -1\n", "cannot be -1"),
            ("process_cpu_seconds_total NaN\n", "cannot be NaN"),
            ("process_cpu_seconds_total 1e300\n", "cannot be 1e300"),
        ] {
            let error = read(page).unwrap_err();
            let error = error.replace("1000000000000000000000000", "1e300");
            assert!(error.contains(words) || words.ends_with("1e300"), "{page:?}: {error}");
        }
    }

    #[test]
    fn answers() {
        let ok = |head: &str| body(format!("{head}\r\n\r\na 1\n").as_bytes()).map(str::to_owned);
        assert_eq!(ok("HTTP/1.1 200 OK\r\ncontent-length: 4"), Ok("a 1\n".to_owned()));
        assert_eq!(ok("HTTP/1.0 200"), Ok("a 1\n".to_owned()));
        for (head, words) in [
            ("HTTP/1.1 404 Not Found", "answered 404"),
            ("HTTP/1.1 401", "answered 401"),
            ("HTTP/1.1", "not HTTP/1"),
            ("SSH-2.0-x", "not HTTP/1"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5", "4 bytes came where 5 were promised"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "in chunks"),
            ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip", "compressed"),
        ] {
            let error = ok(head).unwrap_err();
            assert!(error.contains(words), "{head}: {error}");
        }
        assert!(body(b"HTTP/1.1 200 OK\r\n").unwrap_err().contains("not HTTP/1"));
    }

    #[test]
    fn over_a_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let page = Endpoint { host: "h".to_owned(), port: 90, path: "/metrics?x".to_owned() };
        let server = std::thread::spawn(move || {
            let answers: [&[u8]; 2] =
                [b"HTTP/1.0 200 OK\r\n\r\nprocess_cpu_seconds_total 3\n", b""];
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 1024];
                let n = stream.read(&mut asked).unwrap();
                let asked = String::from_utf8_lossy(&asked[..n]).into_owned();
                assert!(asked.starts_with("GET /metrics?x HTTP/1.0\r\nHost: h:90\r\n"), "{asked}");
                stream.write_all(answer).unwrap();
            }
        });
        assert_eq!(look(to, &page), Ok(told(3000, None)));
        assert!(look(to, &page).unwrap_err().contains("not HTTP/1"));
        server.join().unwrap();
        assert_eq!(look(to, &page), Err("connection refused".to_owned()));
    }
}
