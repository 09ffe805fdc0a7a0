//! What becomes of connections during the run: its flags, and what they say together.

use std::time::Duration;

use super::plan::{Farewell, Life, Mode, Retry, Storm};
use super::quantity::{self, OrOff};
use super::usage::{UsageError, refuse};

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
}

/// Flags -> plan.
pub(super) fn life(args: &LifeArgs, around: &Around) -> Result<Life, UsageError> {
    let mut storms = args.storm.clone();
    storms.sort_by_key(|storm| storm.at);
    let life = Life { churn: args.churn, reconnect: args.reconnect.0, storms };
    let free = may_leave(around);
    if life.leaves() && free == 0 {
        let flag = if life.churn.is_some() { "--churn" } else { "--storm" };
        return refuse(
            format!("{flag} with {} connections", around.connections),
            "publishers stay, and nobody else is there to leave",
            "add --subscribers or drop it",
        );
    }
    for (at, storm) in life.storms.iter().enumerate() {
        check_storm(storm, &life.storms[..at], free, around.duration)?;
    }
    Ok(life)
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
            ("--storm 50%@10s", &["--storm 50%@10s:reset", "ends after 10s", "raise --duration"]),
            ("-c 9 --storm 5%@1s", &["--storm 5%@1s:reset", "of 9 connections", "raise"]),
            ("--storm 5%@1s --storm 7%@1s:fin", &["--storm 7%@1s:fin", "another storm", "add"]),
            (
                "--mode broadcast -R 1 --publishers 3 --subscribers 0 --churn 1",
                &["--churn with 3 connections", "publishers stay", "add --subscribers"],
            ),
            (
                "--mode broadcast -R 1 --publishers 3 --subscribers 0 --storm 9%@1s",
                &["--storm with 3 connections", "publishers stay"],
            ),
        ] {
            let error = plan(line).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{line}: '{part}' is not in: {error}");
            }
        }
    }
}
