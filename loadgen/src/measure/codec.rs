//! Distributions in a file, without loss: each as an `HdrHistogram` V2 in its compressed form, in
//! base64, exactly what a line of an interval log holds. Beside it stands its count, by which a
//! reader knows that nothing was lost on the way.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer as V2, Serializer as _, V2DeflateSerializer};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{DIGITS, Kind, Latencies, Latency, add};

#[derive(Serialize, Deserialize)]
struct Coded {
    /// Samples.
    count: u64,
    /// Empty if there is none.
    histogram: String,
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        if self.count() > 0 {
            let written = V2DeflateSerializer::new().serialize(&self.0, &mut bytes);
            written.map_err(|error| S::Error::custom(format!("{error:?}")))?;
        }
        Coded { count: self.count(), histogram: BASE64_STANDARD.encode(bytes) }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let coded = Coded::deserialize(from)?;
        decode(&coded).map_err(|why| D::Error::custom(format!("a histogram {why}")))
    }
}

fn decode(coded: &Coded) -> Result<Latency, String> {
    let mut latency = Latency::default();
    if coded.histogram.is_empty() && coded.count == 0 {
        return Ok(latency);
    }
    let bytes = BASE64_STANDARD.decode(&coded.histogram);
    let bytes = bytes.map_err(|error| format!("is no base64: {error}"))?;
    let read: Histogram<u64> =
        V2::new().deserialize(&mut bytes.as_slice()).map_err(|why| format!("is no V2: {why}"))?;
    if read.sigfig() != DIGITS || read.low() != 1 {
        return Err(format!(
            "has {} digits from {} ns on, not 3 from 1",
            read.sigfig(),
            read.low()
        ));
    }
    // One that was read cannot grow; all of ours have the same buckets.
    for value in read.iter_recorded() {
        add(&mut latency.0, value.value_iterated_to(), value.count_at_value());
    }
    if latency.count() != coded.count {
        return Err(format!("holds {} samples, not its {}", latency.count(), coded.count));
    }
    Ok(latency)
}

#[derive(Serialize)]
struct Written<'a> {
    overflow: u64,
    kinds: BTreeMap<&'static str, &'a Latency>,
}

#[derive(Deserialize)]
struct Read {
    overflow: u64,
    kinds: BTreeMap<String, Latency>,
}

impl Serialize for Latencies {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let kinds = Kind::ALL.into_iter().filter_map(|kind| Some((kind.name(), self.get(kind)?)));
        Written { overflow: self.overflow, kinds: kinds.collect() }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Latencies {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut read = Read::deserialize(from)?;
        let mut latencies = Self { overflow: read.overflow, ..Self::default() };
        // What a later version measures besides is passed over.
        for kind in Kind::ALL {
            latencies.slots[kind as usize] = read.kinds.remove(kind.name());
        }
        Ok(latencies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn through(latency: &Latency) -> Result<Latency, simd_json::Error> {
        simd_json::serde::from_slice(&mut simd_json::serde::to_vec(latency).unwrap())
    }

    proptest! {
        /// What is read is what was written, to the last bucket.
        #[test]
        fn nothing_is_lost(
            times in proptest::collection::vec((any::<u64>(), 0u32..60), 0..200),
        ) {
            let mut latency = Latency::default();
            for (any, shift) in times {
                latency.record(any >> shift);
            }
            let read = through(&latency).unwrap();
            prop_assert_eq!(read.summary(), latency.summary());
            prop_assert_eq!(read, latency);
        }
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let mut latency = Latency::default();
        (1..1000).for_each(|us| latency.record(us * 1000));
        let text = simd_json::serde::to_string(&latency).unwrap();
        for (from, to, why) in [
            ("999", "998", "holds 999 samples, not its 998"),
            ("\"HISTF", "\"HISTG", "is no V2"),
            ("\"HISTF", "\"*", "is no base64"),
        ] {
            let damaged = text.replacen(from, to, 1);
            assert_ne!(damaged, text);
            let read = simd_json::serde::from_slice::<Latency>(&mut damaged.into_bytes());
            assert!(read.unwrap_err().to_string().contains(why), "{why}");
        }
        let mut coarse = Histogram::<u64>::new(2).unwrap();
        coarse.record(5).unwrap();
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&coarse, &mut bytes).unwrap();
        let coded = Coded { count: 1, histogram: BASE64_STANDARD.encode(bytes) };
        assert!(decode(&coded).unwrap_err().contains("2 digits"));
    }

    #[test]
    fn kinds_by_name() {
        let mut latencies = Latencies::default();
        latencies.record(Kind::Response, 5_000);
        latencies.record(Kind::SendLag, u64::MAX);
        let text = simd_json::serde::to_string(&latencies).unwrap();
        assert!(text.contains("\"send_lag\":{\"count\":1"), "{text}");
        // A kind of a later version.
        let later = text.replace("\"send_lag\"", "\"dribble\"");
        let read: Latencies = simd_json::serde::from_slice(&mut later.into_bytes()).unwrap();
        assert_eq!((read.overflow, read.get(Kind::SendLag)), (1, None));
        assert_eq!(read.get(Kind::Response), latencies.get(Kind::Response));
    }
}
