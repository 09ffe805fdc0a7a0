//! What becomes of connections during the run: its flags, and what they say together.

use std::time::Duration;

use super::plan::{Dribble, Farewell, Life, Mode, Pace, Retry, Slow, Storm};
use super::quantity::{self, OrOff};
use super::usage::{UsageError, refuse};
use crate::human::decimal;

/// Connections that leave and come back.
#[derive(clap::Args, Clone, Debug)]
pub struct LifeArgs {
    /// Connections that are closed properly and opened again a second, total
    #[arg(long, value_name = "PER-SECOND", value_parser = quantity::rate)]
    pub churn: Option<f64>,
    /// Open a connection again that the server or the network ended, such as fixed:4s; backoff
    /// waits random times that double, 500ms..20s unless it says which
    #[arg(long, value_name = "fixed:TIME|backoff[:BASE..CAP]|off", default_value = "off",
        value_parser = reconnect)]
    pub reconnect: OrOff<Retry>,
    /// Drop a share of the connections at once, such as 50%@60s after the begin of the measured
    /// window, by TCP resets (by FINs with 50%@60s:fin), and reconnect at the ramp's pace or by
    /// --reconnect; repeatable
    #[arg(long, value_name = "SHARE@TIME[:reset|:fin]", value_parser = storm)]
    pub storm: Vec<Storm>,
    /// Send in TCP segments of up to so many bytes (16), so long apart (1ms), cut anywhere
    #[arg(long, value_name = "[BYTES][@GAP]", num_args = 0..=1, default_missing_value = "16@1ms",
        value_parser = dribble)]
    pub dribble: Option<Dribble>,
    /// Let a share of the connections read at most so many bytes a second, such as 1%:1kB/s; their
    /// figures stand apart
    #[arg(long, value_name = "SHARE:BYTES/s", value_parser = slow)]
    pub slow_consumers: Option<Slow>,
}

/// A share and a rate of bytes.
fn slow(text: &str) -> Result<Slow, String> {
    let Some((share, rate)) = text.split_once(':') else {
        return Err("write SHARE:BYTES/s, such as 1%:1kB/s".to_owned());
    };
    let units = [
        ("MB/s", 1e6),
        ("kB/s", 1e3),
        ("MiB/s", f64::from(1 << 20)),
        ("KiB/s", f64::from(1 << 10)),
        ("B/s", 1.0),
    ];
    let strip = |(unit, scale): (&str, f64)| Some((rate.strip_suffix(unit)?, scale));
    let bytes = units.into_iter().find_map(strip).and_then(|(digits, scale)| {
        quantity::plain(digits).map(|value| value * scale).filter(|bytes| *bytes >= 1.0)
    });
    let Some(bytes) = bytes.filter(|bytes| *bytes <= 1e12) else {
        return Err(format!(
            "'{rate}' is no rate of bytes: write B/s, kB/s or MB/s, such as 1kB/s"
        ));
    };
    Ok(Slow { share: quantity::part(share)?, per_second: bytes as u64 })
}

/// Bytes, a gap, or one of them; what is missing is as by default.
fn dribble(text: &str) -> Result<Dribble, String> {
    /// Longer ones are no dribble: an Ethernet frame carries as much.
    const MOST: u32 = 1460;
    let (bytes, gap) = text.split_once('@').unwrap_or((text, "1ms"));
    let most = match bytes {
        "" if text.is_empty() => 0,
        "" => 16,
        bytes => quantity::count(bytes).unwrap_or(0),
    };
    if most == 0 || most > MOST {
        return Err(format!(
            "write BYTES@GAP, such as 16@1ms, with 1 to {MOST} bytes; a URL stands before the flag"
        ));
    }
    Ok(Dribble { most: most as usize, gap: quantity::duration(gap)? })
}

/// A wait before each attempt to reconnect.
fn reconnect(text: &str) -> Result<OrOff<Retry>, String> {
    let (word, rest) = text.split_once(':').map_or((text, None), |(w, rest)| (w, Some(rest)));
    let retry = match (word, rest) {
        ("off", None) => None,
        ("fixed", Some(wait)) => Some(Retry::Fixed(quantity::positive_duration(wait)?)),
        ("backoff", None) => Some(Retry::USUAL),
        ("backoff", Some(range)) => {
            let Some((base, cap)) = range.split_once("..") else {
                return Err("write backoff:BASE..CAP, such as backoff:500ms..20s".to_owned());
            };
            let base = quantity::positive_duration(base)?;
            let cap = quantity::positive_duration(cap)?;
            if cap < base {
                return Err("the range is upside down: write the shorter time first".to_owned());
            }
            Some(Retry::Backoff { base, cap })
        }
        _ => {
            return Err(
                "write fixed:TIME, backoff, backoff:BASE..CAP or off, such as fixed:4s".to_owned()
            );
        }
    };
    Ok(OrOff(retry))
}

/// A share, a time, and how.
fn storm(text: &str) -> Result<Storm, String> {
    let Some((share, rest)) = text.split_once('@') else {
        return Err("write SHARE@TIME, such as 50%@60s".to_owned());
    };
    let (at, farewell) = match rest.split_once(':') {
        None => (rest, Farewell::Reset),
        Some((at, "reset")) => (at, Farewell::Reset),
        Some((at, "fin")) => (at, Farewell::Fin),
        Some((_, other)) => return Err(format!("'{other}' is no end of TCP: write reset or fin")),
    };
    Ok(Storm { share: quantity::part(share)?, at: quantity::duration(at)?, farewell })
}

/// What the plan's other parts mean for it.
pub(super) struct Around {
    pub(super) mode: Mode,
    pub(super) connections: u32,
    pub(super) duration: Duration,
    pub(super) timeout: Duration,
    pub(super) pace: Pace,
    /// Connections that send messages, and the bytes of the shortest one.
    pub(super) senders: u32,
    pub(super) shortest: usize,
}

/// Flags -> plan.
pub(super) fn life(args: &LifeArgs, around: &Around) -> Result<Life, UsageError> {
    let mut storms = args.storm.clone();
    storms.sort_by_key(|storm| storm.at);
    let dribble = args.dribble.map(|dribble| check_dribble(dribble, around)).transpose()?;
    let slow = args.slow_consumers.map(|slow| check_slow(slow, around)).transpose()?;
    let life = Life { churn: args.churn, reconnect: args.reconnect.0, storms, dribble, slow };
    let free = may_leave(around) - life.slow.map_or(0, |slow| slow.of(may_leave(around)));
    if life.leaves() && free == 0 {
        let flag = if life.churn.is_some() { "--churn" } else { "--storm" };
        return refuse(
            format!("{flag} with {} connections", around.connections),
            "publishers and slow consumers stay, and nobody else is there to leave",
            "add connections (--subscribers) or drop it",
        );
    }
    for (at, storm) in life.storms.iter().enumerate() {
        check_storm(storm, &life.storms[..at], free, around.duration)?;
    }
    Ok(life)
}

fn check_slow(slow: Slow, around: &Around) -> Result<Slow, UsageError> {
    /// Bytes of an answer to an upgrade request, with some further fields.
    const ANSWER: f64 = 512.0;
    let (all, few) = (may_leave(around), slow.of(may_leave(around)));
    let input = format!("--slow-consumers {}%:{}B/s", slow.share * 100.0, slow.per_second);
    if around.mode == Mode::Idle {
        return refuse(
            input,
            "idle connections have nothing to read",
            "use --mode echo or broadcast",
        );
    }
    if few == 0 {
        return refuse(
            input,
            format!("of {all} connections that may be slow that share is none"),
            "raise the share or the connections",
        );
    }
    if few == around.connections {
        return refuse(input, "nobody would be left to measure", "lower the share");
    }
    if ANSWER / slow.per_second as f64 > around.timeout.as_secs_f64() {
        return refuse(
            input,
            "the answer to the upgrade request would not be read within --timeout",
            "raise the rate or --timeout",
        );
    }
    Ok(slow)
}

fn check_dribble(dribble: Dribble, around: &Around) -> Result<Dribble, UsageError> {
    /// Bytes of an upgrade request without further fields.
    const HEAD: usize = 160;
    /// Bytes of a client's frame beside its payload, at least.
    const HEADER: usize = 6;
    let input = format!("--dribble {dribble}");
    let head = dribble.lasts(HEAD);
    if head >= around.timeout {
        return refuse(
            input,
            format!(
                "an upgrade request alone would take {} s, over the --timeout of {}",
                decimal(head.as_secs_f64()),
                humantime::format_duration(around.timeout)
            ),
            "use longer segments, a shorter gap or a longer --timeout",
        );
    }
    let lasts = dribble.lasts(around.shortest + HEADER).as_secs_f64();
    match around.pace {
        // Messages would queue up for ever.
        Pace::Open { rate, .. } if rate / f64::from(around.senders.max(1)) * lasts >= 1.0 => {
            refuse(
                input,
                format!(
                    "one message takes {} s, and each connection sends {} a second",
                    decimal(lasts),
                    decimal(rate / f64::from(around.senders.max(1)))
                ),
                "use longer segments, a shorter gap, a lower rate or more connections",
            )
        }
        _ => Ok(dribble),
    }
}

/// Connections that may leave on purpose: publishers of a broadcast are the load itself.
fn may_leave(around: &Around) -> u32 {
    match around.mode {
        Mode::Broadcast(rooms) => rooms.subscribers,
        Mode::Echo | Mode::Idle => around.connections,
    }
}

fn check_storm(
    storm: &Storm,
    before: &[Storm],
    free: u32,
    duration: Duration,
) -> Result<(), UsageError> {
    let input = format!("--storm {storm}");
    if storm.at >= duration {
        return refuse(
            input,
            format!("the measured window ends after {}", humantime::format_duration(duration)),
            "name an earlier time or raise --duration",
        );
    }
    if before.iter().any(|other| other.at == storm.at) {
        return refuse(
            input,
            "another storm begins at that time",
            "add their shares, or part them",
        );
    }
    if storm.victims(free.into()) == 0 {
        return refuse(
            input,
            format!("of {free} connections that share is none"),
            "raise the share or --connections",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconnects_in_words() {
        let ms = Duration::from_millis;
        for (text, retry) in [
            ("off", None),
            ("fixed:4s", Some(Retry::Fixed(ms(4000)))),
            ("backoff", Some(Retry::USUAL)),
            ("backoff:1s..8s", Some(Retry::Backoff { base: ms(1000), cap: ms(8000) })),
        ] {
            assert_eq!(reconnect(text), Ok(OrOff(retry)), "{text}");
        }
        for (text, words) in [
            ("", "write fixed:TIME"),
            ("4s", "write fixed:TIME"),
            ("off:1s", "write fixed:TIME"),
            ("fixed", "write fixed:TIME"),
            ("fixed:0s", "must be above 0"),
            ("fixed:4", "not a duration"),
            ("backoff:1s", "write backoff:BASE..CAP"),
            ("backoff:8s..1s", "upside down"),
            ("backoff:0ms..1s", "must be above 0"),
        ] {
            let error = reconnect(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn storms_in_words() {
        let at = Duration::from_mins(1);
        let half = Storm { share: 0.5, at, farewell: Farewell::Reset };
        assert_eq!(storm("50%@60s"), Ok(half));
        assert_eq!(storm("0.5@1m:reset"), Ok(half));
        assert_eq!(storm("50%@60s:fin"), Ok(Storm { farewell: Farewell::Fin, ..half }));
        assert_eq!(half.to_string(), "50%@1m:reset");
        for (text, words) in [
            ("50%", "write SHARE@TIME"),
            ("0%@1s", "above 0%"),
            ("101%@1s", "100%"),
            ("x@1s", "a share"),
            ("50%@soon", "not a duration"),
            ("50%@1s:kill", "write reset or fin"),
        ] {
            let error = storm(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn dribbles_in_words() {
        let ms = Duration::from_millis;
        for (text, most, gap) in [
            ("16@1ms", 16, ms(1)),
            ("8", 8, ms(1)),
            ("@5ms", 16, ms(5)),
            ("1@0ms", 1, ms(0)),
            ("1460@1s", 1460, ms(1000)),
        ] {
            assert_eq!(dribble(text), Ok(Dribble { most, gap }), "{text}");
        }
        for (text, words) in [
            ("", "write BYTES@GAP"),
            ("0@1ms", "1 to 1460 bytes"),
            ("2k", "1 to 1460 bytes"),
            ("8@soon", "not a duration"),
            ("ws://h/", "a URL stands before the flag"),
        ] {
            let error = dribble(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        let usual = Some(Dribble { most: 16, gap: ms(1) });
        assert_eq!(plan("--dribble").unwrap().dribble, usual);
        assert_eq!(plan("--dribble --churn 1").unwrap().dribble, usual);
        // 131 bytes in segments of one.
        assert_eq!(Dribble { most: 1, gap: ms(2) }.lasts(131), ms(260));
    }

    fn plan(line: &str) -> Result<Life, String> {
        let words = std::iter::once("loadgen").chain(line.split_whitespace());
        let args = <super::super::Args as clap::Parser>::try_parse_from(words);
        let plan = args.map_err(|error| error.to_string())?.plan();
        plan.map(|plan| plan.life).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_make_a_life() {
        assert_eq!(plan(""), Ok(Life::default()));
        let life = plan("--churn 50/s --reconnect backoff --storm 10%@9s --storm 50%@2s").unwrap();
        assert_eq!((life.churn, life.reconnect), (Some(50.0), Some(Retry::USUAL)));
        let at: Vec<u64> = life.storms.iter().map(|storm| storm.at.as_secs()).collect();
        assert_eq!(at, [2, 9], "in the order of their times");
        plan("-c 1 --storm 50%@9999ms").unwrap();
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (line, parts) in [
            ("--churn 0", &["'0'", "above 0"][..]),
            ("--slow-consumers 1%", &["'1%'", "write SHARE:BYTES/s"]),
            ("--slow-consumers 1%:5", &["'5' is no rate of bytes", "1kB/s"]),
            ("--slow-consumers 1%:0.5B/s", &["no rate of bytes"]),
            ("--slow-consumers 0%:1kB/s", &["above 0%"]),
            ("-c 10 --slow-consumers 1%:1kB/s", &["of 10 connections", "raise the share"]),
            ("--slow-consumers 100%:1kB/s", &["nobody would be left", "lower the share"]),
            ("--slow-consumers 5%:1B/s", &["within --timeout", "raise the rate"]),
            ("--slow-consumers 5%:1kB/s --mode idle", &["nothing to read", "broadcast"]),
            ("--dribble 1@1s", &["--dribble 1@1s", "request alone", "of 30s", "shorter gap"]),
            (
                "-c 10 -R 100 --dribble 1@1ms",
                &["--dribble 1@1ms", "takes 0.13 s", "sends 10.00 a second", "more connections"],
            ),
            ("--storm 50%@10s", &["--storm 50%@10s:reset", "ends after 10s", "raise --duration"]),
            ("-c 9 --storm 5%@1s", &["--storm 5%@1s:reset", "of 9 connections", "raise"]),
            ("--storm 5%@1s --storm 7%@1s:fin", &["--storm 7%@1s:fin", "another storm", "add"]),
            (
                "--mode broadcast -R 1 --publishers 3 --subscribers 0 --churn 1",
                &["--churn with 3 connections", "publishers and slow", "--subscribers"],
            ),
            (
                "--mode broadcast -R 1 --publishers 3 --subscribers 0 --storm 9%@1s",
                &["--storm with 3 connections", "nobody else is there"],
            ),
        ] {
            let error = plan(line).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{line}: '{part}' is not in: {error}");
            }
        }
    }
}
