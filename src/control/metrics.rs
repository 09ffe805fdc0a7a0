//! Counters in the text format of Prometheus, version 0.0.4. A pure function.
//!
//! Names follow its conventions: `plimsoll_` in front, base units, `_total` behind counters, one
//! series for each shard with the label `shard`.

use std::fmt::{Display, Write};

use super::process::Process;
use super::threads::Usage;
use crate::conn::End;
use crate::shard::Counters;

/// The media type that scrapers look for.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One page of all metrics.
pub(super) fn render(counters: &[Counters], process: &Process) -> String {
    let mut page = Page(String::with_capacity(4096 + 2048 * counters.len()));
    page.shards(counters);
    page.ends(counters);
    let help = "Time of a shard's thread on a core";
    page.threads("cpu", help, process, |usage| usage.cpu);
    let help = "Time that a shard's thread was ready to run and had no core";
    page.threads("waiting", help, process, |usage| usage.waited);
    page.process(counters.len(), process);
    page.0
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // In the help text a backslash and a line feed would need an escape; ours has neither.
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: impl Display) {
        // Writing to a String can not fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.line(format_args!("{name} {value}"));
    }

    fn shards(&mut self, counters: &[Counters]) {
        // Every shard gives the same names in the same order: a column for each.
        let mut columns = counters.iter().map(|shard| {
            let mut column = Vec::new();
            shard.each(|name, kind, help, value| column.push((name, kind, help, value)));
            column
        });
        let Some(first) = columns.next() else { return };
        let rest: Vec<_> = columns.collect();
        for (row, (name, kind, help, value)) in first.iter().enumerate() {
            let name = series(name, kind);
            self.head(&name, kind, help.trim());
            self.line(format_args!("{name}{{shard=\"0\"}} {value}"));
            for (shard, column) in rest.iter().enumerate() {
                let value = column[row].3;
                self.line(format_args!("{name}{{shard=\"{}\"}} {value}", shard + 1));
            }
        }
    }

    fn ends(&mut self, counters: &[Counters]) {
        let name = "plimsoll_connections_ended_total";
        self.head(name, "counter", "Connections ended, by reason");
        for (index, reason) in End::NAMES.iter().enumerate() {
            for (shard, counters) in counters.iter().enumerate() {
                let value = counters.ends[index].get();
                let labels = format_args!("{{reason=\"{reason}\",shard=\"{shard}\"}}");
                self.line(format_args!("{name}{labels} {value}"));
            }
        }
    }

    /// Only what the system tells of: a series that is not known is no zero.
    fn threads(&mut self, what: &str, help: &str, process: &Process, of: fn(&Usage) -> u64) {
        let known =
            || process.threads.iter().enumerate().filter_map(|(i, u)| Some((i, u.as_ref()?)));
        if known().next().is_none() {
            return;
        }
        let name = format!("plimsoll_shard_{what}_seconds_total");
        self.head(&name, "counter", help);
        for (shard, usage) in known() {
            let seconds = of(usage) as f64 / 1e9;
            self.line(format_args!("{name}{{shard=\"{shard}\"}} {seconds}"));
        }
    }

    fn process(&mut self, shards: usize, process: &Process) {
        let &Process { cpu_s, resident_bytes, uptime_s, draining, .. } = process;
        let &Process { max_connections, max_buffered, blocks, .. } = process;
        self.head("plimsoll_build_info", "gauge", "Version of the server; always 1");
        let version = env!("CARGO_PKG_VERSION");
        self.line(format_args!("plimsoll_build_info{{version=\"{version}\"}} 1"));
        self.one("plimsoll_uptime_seconds", "gauge", "Time since the server started", uptime_s);
        self.one("plimsoll_shards", "gauge", "Data-plane threads", shards);
        let help = "Whether the server lets nobody in any more";
        self.one("plimsoll_draining", "gauge", help, u8::from(draining));
        let help = "Open connections at most, over all shards";
        self.one("plimsoll_max_connections", "gauge", help, max_connections);
        let help = "Bytes held for slow peers and half-received messages at most, over all shards";
        self.one("plimsoll_max_buffered_bytes", "gauge", help, max_buffered);
        let help = "Bytes of broadcasts under way, each counted once however many shards hold it";
        self.one("plimsoll_broadcast_bytes", "gauge", help, blocks);
        let help = "Time on a core, user and system, all threads together";
        self.one("process_cpu_seconds_total", "counter", help, cpu_s);
        if let Some(bytes) = resident_bytes {
            self.one("process_resident_memory_bytes", "gauge", "Memory in RAM", bytes);
        }
    }
}

/// The name under which a counter is exported. Most keep theirs; a few are clear among their
/// neighbours only.
fn series(name: &str, kind: &str) -> String {
    let plain = match name {
        "accepted" => "connections_accepted",
        "open" => "connections_open",
        "opened" => "handshakes",
        "refused" => "upgrades_refused",
        "bytes_in" => "received_bytes",
        "bytes_out" => "sent_bytes",
        "messages_in" => "messages_received",
        "messages_out" => "messages_sent",
        "pings_in" => "pings_received",
        "pings_out" => "pings_sent",
        "mails_out" => "mails_sent",
        name => name,
    };
    let end = if kind == "counter" { "_total" } else { "" };
    format!("plimsoll_{plain}{end}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Kind and samples (labels, value) of each metric.
    type Parsed = BTreeMap<String, (String, Vec<(String, f64)>)>;

    /// Reads the exposition format as strictly as its description asks.
    fn parse(text: &str) -> Parsed {
        let mut metrics = Parsed::new();
        let mut helped = None;
        assert!(text.ends_with('\n'), "the last line ends in a line feed");
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(!help.is_empty() && !help.contains('\\'), "{line}");
                helped = Some(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(helped.take().as_deref(), Some(name), "help, then type: {line}");
                assert!(matches!(kind, "counter" | "gauge"), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                let before = metrics.insert(name.to_owned(), (kind.to_owned(), Vec::new()));
                assert!(before.is_none(), "{name} is described twice");
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
                assert!(name.bytes().all(valid), "{name}");
                let labels = labels.strip_suffix('}').unwrap().to_owned();
                for label in labels.split(',').filter(|label| !label.is_empty()) {
                    let (key, value) = label.split_once("=\"").unwrap();
                    let value = value.strip_suffix('"').unwrap();
                    assert!(key.bytes().all(valid) && !value.contains(['"', '\\']), "{label}");
                }
                let samples = &mut metrics.get_mut(name).expect("type before samples").1;
                assert!(!samples.iter().any(|sample| sample.0 == labels), "twice: {line}");
                samples.push((labels, value.parse().unwrap()));
            }
        }
        metrics
    }

    fn process() -> Process {
        Process {
            cpu_s: 0.25,
            threads: vec![None, Some(Usage { cpu: 1_500_000_000, waited: 20_000_000 }), None],
            resident_bytes: Some(5 << 20),
            uptime_s: 1.5,
            max_connections: 35_820,
            max_buffered: 1 << 30,
            blocks: 77,
            draining: false,
        }
    }

    #[test]
    fn a_page_holds_every_counter_of_every_shard() {
        let counters: Vec<Counters> = (0..3).map(|_| Counters::default()).collect();
        counters[2].bytes_in.add(12);
        counters[1].open.set(7);
        counters[0].ends[3].add(2);
        let metrics = parse(&render(&counters, &process()));
        let mut names = 0;
        counters[0].each(|name, kind, _, _| {
            names += 1;
            let (as_kind, samples) = &metrics[&series(name, kind)];
            assert_eq!((as_kind.as_str(), samples.len()), (kind, 3), "{name}");
        });
        assert!(names >= 20, "{names} counters");
        let value = |name: &str, labels: &str| {
            let samples = &metrics[name].1;
            samples.iter().find(|sample| sample.0 == labels).map(|sample| sample.1)
        };
        assert_eq!(value("plimsoll_received_bytes_total", "shard=\"2\""), Some(12.0));
        assert_eq!(value("plimsoll_connections_open", "shard=\"1\""), Some(7.0));
        let ended = "plimsoll_connections_ended_total";
        assert_eq!(value(ended, "reason=\"eof\",shard=\"0\""), Some(2.0));
        assert_eq!(metrics[ended].1.len(), 3 * End::COUNT);
        assert_eq!(value("plimsoll_max_connections", ""), Some(35_820.0));
        assert_eq!(value("plimsoll_broadcast_bytes", ""), Some(77.0));
        assert_eq!(value("plimsoll_uptime_seconds", ""), Some(1.5));
        assert_eq!(value("process_resident_memory_bytes", ""), Some(5_242_880.0));
        assert_eq!(value("process_cpu_seconds_total", ""), Some(0.25));
        let cpu = "plimsoll_shard_cpu_seconds_total";
        assert_eq!(metrics[cpu].1, [("shard=\"1\"".to_owned(), 1.5)]);
        assert_eq!(value("plimsoll_shard_waiting_seconds_total", "shard=\"1\""), Some(0.02));
        let build = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
        assert_eq!(value("plimsoll_build_info", &build), Some(1.0));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let counters = [Counters::default()];
        let process =
            Process { resident_bytes: None, draining: true, threads: vec![None], ..process() };
        let metrics = parse(&render(&counters, &process));
        assert!(!metrics.contains_key("process_resident_memory_bytes"));
        assert!(!metrics.contains_key("plimsoll_shard_cpu_seconds_total"));
        assert_eq!(metrics["plimsoll_draining"].1, [(String::new(), 1.0)]);
    }

    #[test]
    #[should_panic(expected = "type before samples")]
    fn the_parser_of_this_test_is_strict() {
        parse("plimsoll_shards 2\n");
    }
}
