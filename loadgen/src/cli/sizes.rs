//! Sizes of messages as people write them: one, a range, a weighted list, a distribution. What is
//! drawn from them is the business of `draw`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::plan::STAMP_BYTES;
use super::quantity::{MAX_SIZE, bytes, plain};
use crate::draw::reach;

/// Widest log-normal: one size in forty is then 3,000 times the median or more.
const MAX_SIGMA: f64 = 4.0;

/// How far percentages may be from 100 together, for those that were rounded.
const ROUNDED: f64 = 0.01;

/// Payload bytes of one message: the smallest, the largest, and how sizes lie between them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sizes {
    /// Smallest, in bytes.
    pub min: usize,
    /// Largest, in bytes, not under `min`.
    pub max: usize,
    /// How sizes lie between them.
    pub shape: Shape,
}

/// How sizes lie between the smallest and the largest.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Each is equally likely.
    Even,
    /// These alone, each with its share of 1; the shares add up to 1.
    Weighted(Vec<(usize, f64)>),
    /// A bell; what lies outside the bounds is sent at the bound, here and below.
    Normal {
        /// In bytes.
        mean: f64,
        /// Standard deviation, in bytes.
        deviation: f64,
    },
    /// Many small ones, few large.
    Exponential {
        /// In bytes.
        mean: f64,
    },
    /// Its logarithm is a bell: the long tail that message sizes mostly have.
    LogNormal {
        /// Half are smaller, in bytes.
        median: f64,
        /// Standard deviation of the natural logarithm.
        sigma: f64,
    },
}

impl Sizes {
    /// Each size from `min` to `max` is equally likely.
    pub fn even(min: usize, max: usize) -> Self {
        Self { min, max, shape: Shape::Even }
    }
}

impl fmt::Display for Sizes {
    /// As `--size` reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { min, max, shape } = self;
        match shape {
            Shape::Even if min == max => return write!(f, "{min}"),
            Shape::Even => {}
            Shape::Weighted(items) => {
                for (at, (size, share)) in items.iter().enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    write!(f, "{comma}{size}:{}%", (share * 1e6).round() / 1e4)?;
                }
                return Ok(());
            }
            Shape::Normal { mean, deviation } => write!(f, "normal:{mean}:{deviation}:")?,
            Shape::Exponential { mean } => write!(f, "exp:{mean}:")?,
            Shape::LogNormal { median, sigma } => write!(f, "lognormal:{median}:{sigma}:")?,
        }
        write!(f, "{min}..{max}")
    }
}

/// `128`, `64..4096`, `64:90%,4096:10%`, `normal:MEAN:SD`, `exp:MEAN`, `lognormal:MEDIAN:SIGMA`,
/// the last three with bounds too: `exp:300:16..64KiB`.
pub fn size(text: &str) -> Result<Sizes, String> {
    match text.split_once(':') {
        None => range(text),
        Some((name, rest)) if name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            distribution(name, rest)
        }
        Some(_) => weighted(text),
    }
}

fn range(text: &str) -> Result<Sizes, String> {
    let (min, max) = text.split_once("..").unwrap_or((text, text));
    let (min, max) = (bytes(min)?, bytes(max)?);
    if min > max {
        return Err("the range is upside down: write the smaller size first".to_owned());
    }
    Ok(Sizes::even(min, max))
}

fn weighted(text: &str) -> Result<Sizes, String> {
    let how = "write sizes with their shares, such as 64:90%,4096:10%";
    let mut items: Vec<(usize, f64)> = Vec::new();
    let (mut percents, mut sum) = (0, 0.0);
    for item in text.split(',') {
        let (size, weight) = item.split_once(':').ok_or(format!("'{item}' has no share: {how}"))?;
        let size = bytes(size)?;
        percents += usize::from(weight.ends_with('%'));
        let weight = plain(weight.strip_suffix('%').unwrap_or(weight))
            .filter(|weight| *weight > 0.0)
            .ok_or(format!("'{weight}' is not a share above 0: {how}"))?;
        if items.iter().any(|(other, _)| *other == size) {
            return Err(format!("{size} stands there twice: name each size once"));
        }
        items.push((size, weight));
        sum += weight;
    }
    if percents != 0 && percents != items.len() {
        return Err("percentages and plain weights are mixed: write all as one or other".into());
    }
    if percents > 0 && (sum - 100.0).abs() > ROUNDED {
        return Err(format!("the percentages add up to {sum}, not to 100"));
    }
    for (_, weight) in &mut items {
        *weight /= sum;
    }
    let sizes = items.iter().map(|(size, _)| *size);
    let (min, max) = (sizes.clone().min().unwrap_or(0), sizes.max().unwrap_or(0));
    Ok(Sizes { min, max, shape: Shape::Weighted(items) })
}

fn distribution(name: &str, rest: &str) -> Result<Sizes, String> {
    let (numbers, bounds) = match rest.rsplit_once(':') {
        Some((numbers, bounds)) if bounds.contains("..") => (numbers, Some(range(bounds)?)),
        _ => (rest, None),
    };
    let numbers: Vec<&str> = numbers.split(':').collect();
    let centre = |text: &str| {
        let value = bytes(text)? as f64;
        if value < 1.0 { Err(format!("'{text}' is under one byte")) } else { Ok(value) }
    };
    let width = |text: &str, most: f64| {
        let value = plain(text).filter(|value| *value > 0.0 && *value <= most);
        value.ok_or(format!("'{text}' is not a number above 0 and up to {most}"))
    };
    let shape = match (name, &numbers[..]) {
        ("normal", [mean, deviation]) => {
            Shape::Normal { mean: centre(mean)?, deviation: width(deviation, MAX_SIZE as f64)? }
        }
        ("exp", [mean]) => Shape::Exponential { mean: centre(mean)? },
        ("lognormal", [median, sigma]) => {
            Shape::LogNormal { median: centre(median)?, sigma: width(sigma, MAX_SIGMA)? }
        }
        _ => {
            return Err("not a distribution: write normal:MEAN:SD, exp:MEAN or \
                        lognormal:MEDIAN:SIGMA, each with :MIN..MAX behind it if you like"
                .to_owned());
        }
    };
    let (least, most) = bounds.map_or((STAMP_BYTES, MAX_SIZE), |sizes| (sizes.min, sizes.max));
    let (low, high) = reach(&shape);
    let within = |size: f64| (size.round() as usize).clamp(least, most);
    Ok(Sizes { min: within(low), max: within(high), shape })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_way_to_write_a_size() {
        for (text, min, max) in [
            ("128", 128, 128),
            ("64..4KiB", 64, 4096),
            ("64:90%,4096:9%,65536:1%", 64, 65536),
            ("4KiB:1,64:3", 64, 4096),
            ("normal:1000:100", 552, 1448),
            ("normal:100:100", 16, 548),
            ("exp:100", 16, 1248),
            ("exp:100:0..500", 0, 500),
            ("lognormal:256:1:64..2KiB", 64, 2048),
        ] {
            let sizes = size(text).unwrap();
            assert_eq!((sizes.min, sizes.max), (min, max), "{text}");
        }
    }

    #[test]
    fn a_bad_size_is_told_what_would_be_good() {
        for (text, said) in [
            ("12O", "not a size"),
            ("9..3", "upside down"),
            ("64:90%,4096", "'4096' has no share"),
            ("64:90%,4096:9%", "add up to 99, not to 100"),
            ("64:90%,4096:1", "mixed"),
            ("64:0,4096:1", "above 0"),
            ("64:1,64:2", "twice"),
            ("normal:1000", "not a distribution"),
            ("pareto:3", "not a distribution"),
            ("normal:1000:-1", "not a number above 0"),
            ("exp:0", "under one byte"),
            ("lognormal:100:9", "up to 4"),
            ("exp:1GiB", "not a size"),
            ("exp:100:9..3", "upside down"),
        ] {
            let error = size(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    proptest! {
        /// What is shown in a report may be written on a command line.
        #[test]
        fn shown_and_read_again(text in prop_oneof![
            "[1-9][0-9]{0,3}",
            "[1-9][0-9]{0,2}\\.\\.[1-9][0-9]{3}",
            "(64|65):[1-9],(70|71):[1-9]",
            "normal:[1-9][0-9]{2}:[1-9]{2}(:20\\.\\.9000)?",
            "exp:[1-9][0-9]{1,4}(:20\\.\\.9000)?",
            "lognormal:[1-9][0-9]{1,4}:[1-3]",
        ]) {
            let sizes = size(&text).unwrap();
            let again = size(&sizes.to_string()).unwrap();
            prop_assert_eq!((again.min, again.max), (sizes.min, sizes.max));
            prop_assert_eq!(again.to_string(), sizes.to_string());
        }

        #[test]
        fn anything_else_is_no_panic(text in "[a-z0-9:.,%]{0,24}") {
            if let Ok(sizes) = size(&text) {
                prop_assert!(sizes.min <= sizes.max && sizes.max <= MAX_SIZE);
            }
        }
    }
}
