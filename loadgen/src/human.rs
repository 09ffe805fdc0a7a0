//! Numbers as people read them: `62,400`, `4.12ms`, `1.5 KiB`.

/// With a comma between groups of three digits.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun, in the plural unless it is one: `1 room`, `2 rooms`.
pub fn counted(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(n))
}

/// An error of the system in words, without its number.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words).to_owned()
}

/// A rate or another number that need not be whole: grouped from 1,000 on, three digits below.
pub fn decimal(value: f64) -> String {
    match value {
        v if v >= 999.95 => grouped(v.round() as u64),
        v if v >= 99.95 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// A time in nanoseconds with three digits and its unit: `850ns`, `12.3us`, `4.12ms`, `1.50s`.
pub fn time(ns: u64) -> String {
    if ns < 1_000 {
        return format!("{ns}ns");
    }
    let units = [(1e3, "us"), (1e6, "ms"), (1e9, "s")];
    // 999.5 is where three digits round up to the next unit.
    let (scale, unit) =
        units.into_iter().find(|(scale, _)| (ns as f64) < scale * 999.5).unwrap_or((1e9, "s"));
    let value = ns as f64 / scale;
    match value {
        v if v >= 99.95 => format!("{v:.0}{unit}"),
        v if v >= 9.995 => format!("{v:.1}{unit}"),
        v => format!("{v:.2}{unit}"),
    }
}

/// Bytes with a binary unit: `512 B`, `1.5 KiB`, `12.0 MiB`.
pub fn bytes(n: f64) -> String {
    match n.abs() {
        size if size < KIB => format!("{n:.0} B"),
        size if size < MIB => format!("{:.1} KiB", n / KIB),
        size if size < GIB => format!("{:.1} MiB", n / MIB),
        _ => format!("{:.2} GiB", n / GIB),
    }
}

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * KIB;
const GIB: f64 = 1024.0 * MIB;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups() {
        let texts = [(0, "0"), (999, "999"), (1000, "1,000"), (62_400, "62,400")];
        for (n, text) in texts.into_iter().chain([(1_234_567, "1,234,567")]) {
            assert_eq!(grouped(n), text);
        }
        assert_eq!(
            (counted(1, "room"), counted(1000, "room")),
            ("1 room".into(), "1,000 rooms".into())
        );
        assert_eq!(decimal(1999.6), "2,000");
        assert_eq!(decimal(999.95), "1,000");
        assert_eq!(decimal(123.45), "123.5");
        assert_eq!(decimal(0.5), "0.50");
    }

    #[test]
    fn errors_in_words() {
        let missing = std::fs::File::open("/no/such/file").unwrap_err();
        assert_eq!(reason(&missing), "No such file or directory");
        assert_eq!(reason(&std::io::Error::other("its own words")), "its own words");
    }

    #[test]
    fn times() {
        let texts = [
            (0, "0ns"),
            (999, "999ns"),
            (1_000, "1.00us"),
            (9_999, "10.0us"),
            (12_340, "12.3us"),
            (99_960, "100us"),
            (999_499, "999us"),
            (999_500, "1.00ms"),
            (4_123_000, "4.12ms"),
            (1_500_000_000, "1.50s"),
            (100_000_000_000, "100s"),
            (7_200_000_000_000, "7200s"),
        ];
        for (ns, text) in texts {
            assert_eq!(time(ns), text, "{ns}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes(512.4), "512 B");
        assert_eq!(bytes(1536.0), "1.5 KiB");
        assert_eq!(bytes(-2048.0), "-2.0 KiB");
        assert_eq!(bytes(12.0 * MIB), "12.0 MiB");
        assert_eq!(bytes(3.0 * GIB), "3.00 GiB");
    }
}
