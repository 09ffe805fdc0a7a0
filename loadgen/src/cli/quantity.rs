//! Numbers as people write them: `100k`, `5k/s`, `64..4096`, `30s`, `off`. Each error says what
//! would be accepted; the flag and the value are named by the caller.

use std::time::Duration;

/// Longest payload a message may have, in bytes.
pub const MAX_SIZE: usize = 64 << 20;

/// Longest duration of anything. Beyond a week a typing error is likelier than a wish.
pub const MAX_DURATION: Duration = Duration::from_hours(7 * 24);

/// Largest count and rate.
const MAX_NUMBER: f64 = 1e9;

/// A decimal number with an optional `k` (1,000) or `M` (1,000,000).
fn number(text: &str) -> Option<f64> {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1e3),
        None => match text.strip_suffix(['m', 'M']) {
            Some(digits) => (digits, 1e6),
            None => (text, 1.0),
        },
    };
    plain(digits).map(|value| value * unit)
}

/// Digits and a point. `inf`, `nan`, `1e9` and `+5` are numbers to Rust, and slips of the finger
/// here.
pub(crate) fn plain(digits: &str) -> Option<f64> {
    let allowed = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    allowed.then(|| digits.parse().ok()).flatten()
}

/// A whole number from 0 on: `1000`, `100k`, `1.5M`.
pub fn count(text: &str) -> Result<u32, String> {
    let value = number(text)
        .filter(|value| value.fract() == 0.0)
        .ok_or("not a whole number: write digits, with k or M if you like, such as 1000 or 100k")?;
    if value > MAX_NUMBER {
        return Err("over the limit of 1000M".to_owned());
    }
    Ok(value as u32)
}

/// A percentage, or the same as a number from 0 on: `5%`, `0.05`.
fn fraction(text: &str) -> Option<f64> {
    let (digits, scale) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 0.01));
    plain(digits).map(|value| value * scale)
}

/// A percentage below 100, or a share below 1: `5%`, `0`.
pub fn share(text: &str) -> Result<f64, String> {
    fraction(text)
        .filter(|share| *share < 1.0)
        .ok_or_else(|| "write a share from 0% to below 100%, such as 5%".to_owned())
}

/// A confidence: `95%`.
pub fn confidence(text: &str) -> Result<f64, String> {
    share(text)
        .ok()
        .filter(|share| (0.5..=0.999).contains(share))
        .ok_or_else(|| "write a confidence from 50% to 99.9%, such as 95%".to_owned())
}

/// A count from 1 on.
pub fn positive(text: &str) -> Result<u32, String> {
    match count(text)? {
        0 => Err("must be at least 1".to_owned()),
        n => Ok(n),
    }
}

/// A number a second above 0: `2000`, `5k/s`, `0.5`.
pub fn rate(text: &str) -> Result<f64, String> {
    let value = number(text.strip_suffix("/s").unwrap_or(text))
        .ok_or("not a rate: write a number a second, such as 2000, 5k/s or 0.5")?;
    if value <= 0.0 {
        return Err("a rate must be above 0".to_owned());
    }
    if value > MAX_NUMBER {
        return Err("over the limit of 1000M a second".to_owned());
    }
    Ok(value)
}

/// A rate, or `off` for no limit.
pub fn rate_or_off(text: &str) -> Result<OrOff<f64>, String> {
    if text == "off" { Ok(OrOff(None)) } else { rate(text).map(|value| OrOff(Some(value))) }
}

/// A value that may be turned off by the word `off`. A newtype, because an `Option` in a flag's
/// type means to clap that the flag may be absent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct OrOff<T>(pub Option<T>);

/// A part of a whole, above 0 % and up to 100 %: `50%`, `0.5`.
pub fn part(text: &str) -> Result<f64, String> {
    fraction(text)
        .filter(|part| *part > 0.0 && *part <= 1.0)
        .ok_or_else(|| "write a share above 0% and up to 100%, such as 5%".to_owned())
}

/// A share from 0.1 % to 100 %.
pub fn tolerance(text: &str) -> Result<f64, String> {
    let share = fraction(text).filter(|share| (0.001..=1.0).contains(share));
    share.ok_or_else(|| "write a share from 0.1% to 100%, such as 5%".to_owned())
}

/// A number of threads, or `auto`.
pub fn threads(text: &str) -> Result<OrAuto, String> {
    /// No machine in reach has more cores, and each thread holds 20,000 connections and more.
    const MAX_THREADS: usize = 1024;
    if text == "auto" {
        return Ok(OrAuto(None));
    }
    match text.parse::<usize>() {
        Ok(n @ 1..=MAX_THREADS) => Ok(OrAuto(Some(n))),
        _ => Err(format!("write auto, or a number of threads from 1 to {MAX_THREADS}")),
    }
}

/// A number of threads; `None` is `auto`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrAuto(pub Option<usize>);

/// A time with its unit: `500ms`, `30s`, `1m 30s`. 0 needs none.
pub fn duration(text: &str) -> Result<Duration, String> {
    let value = humantime::parse_duration(text).map_err(|_| {
        "not a duration: write a number with its unit, such as 500ms, 30s or 1m".to_owned()
    })?;
    if value > MAX_DURATION {
        return Err("over the limit of 7 days".to_owned());
    }
    Ok(value)
}

/// A time above 0.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be above 0".to_owned()),
        value => Ok(value),
    }
}

/// A time above 0, or `off`.
pub fn duration_or_off(text: &str) -> Result<OrOff<Duration>, String> {
    if text == "off" {
        return Ok(OrOff(None));
    }
    match duration(text)? {
        Duration::ZERO => Err("must be above 0; write off for none".to_owned()),
        value => Ok(OrOff(Some(value))),
    }
}

/// Bytes: `125`, `4KiB`, `1MiB`.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.strip_suffix("KiB") {
        Some(digits) => (digits, 1 << 10),
        None => match text.strip_suffix("MiB") {
            Some(digits) => (digits, 1 << 20),
            None => (text, 1),
        },
    };
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    let value = plain.then(|| digits.parse::<usize>().ok()).flatten().ok_or_else(|| {
        "not a size: write bytes or a range of them, such as 125, 4KiB or 64..4096".to_owned()
    })?;
    match value.checked_mul(unit) {
        Some(value) if value <= MAX_SIZE => Ok(value),
        _ => Err(format!("over the limit of {} MiB for one message", MAX_SIZE >> 20)),
    }
}
