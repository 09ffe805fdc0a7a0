//! Sizes, counts and durations as people write them.

use std::time::Duration;

use super::error::ConfigError;

/// Bytes: `4096`, `64k`, `64KiB`, `1MiB`, `1g`. Every suffix is a power of 1,024, in any case.
///
/// # Errors
/// The text is no such number, or the product does not fit.
pub fn parse_size(option: &'static str, text: &str) -> Result<usize, ConfigError> {
    let (digits, suffix) = split(text);
    let unit = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kib" | "kb" => Some(1 << 10),
        "m" | "mib" | "mb" => Some(1 << 20),
        "g" | "gib" | "gb" => Some(1 << 30),
        _ => None,
    };
    unit.and_then(|unit: usize| digits.parse::<usize>().ok()?.checked_mul(unit)).ok_or_else(|| {
        let remedy = "write bytes, or a number with KiB, MiB or GiB, such as 256KiB";
        ConfigError::new(option, text, "not a size", remedy)
    })
}

/// A count: `1000`, `100k`, `1M`. Every suffix is a power of 1,000.
///
/// # Errors
/// The text is no such number, or the product does not fit.
pub fn parse_count(option: &'static str, text: &str) -> Result<usize, ConfigError> {
    let (digits, suffix) = split(text);
    let unit = match suffix {
        "" => Some(1),
        "k" | "K" => Some(1_000),
        "m" | "M" => Some(1_000_000),
        _ => None,
    };
    unit.and_then(|unit: usize| digits.parse::<usize>().ok()?.checked_mul(unit)).ok_or_else(|| {
        let remedy = "write a number, or one with k or M, such as 100k";
        ConfigError::new(option, text, "not a count", remedy)
    })
}

/// A duration: `25s`, `500ms`, `2m`, `1h`; `None` for `0` and `off`.
///
/// # Errors
/// The text is no such duration. A bare number other than 0 has no unit, so it is refused.
pub fn parse_duration(option: &'static str, text: &str) -> Result<Option<Duration>, ConfigError> {
    let (digits, suffix) = split(text);
    let unit_ms = match suffix {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" | "min" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    if matches!(text, "0" | "off") {
        return Ok(None);
    }
    let ms = unit_ms.and_then(|unit: u64| digits.parse::<u64>().ok()?.checked_mul(unit));
    match ms {
        Some(0) => Ok(None),
        Some(ms) => Ok(Some(Duration::from_millis(ms))),
        None => Err(ConfigError::new(
            option,
            text,
            "not a duration",
            "write a whole number with ms, s, m or h, such as 25s, or off",
        )),
    }
}

/// The digits in front and the rest. Signs and separators are part of the rest.
fn split(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(digits)
}
