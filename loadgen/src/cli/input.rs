//! Files that flags name as input. They are read once, before the run begins.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::usage::{UsageError, refuse};

/// Largest file that is kept in memory: 256 MiB, a million messages of 256 bytes.
const MAX_BYTES: u64 = 256 << 20;

/// The whole file, which must be UTF-8. `flag` is named in an error.
pub(super) fn text(flag: &str, path: &Path) -> Result<String, UsageError> {
    let input = format!("{flag} {}", path.display());
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let why = crate::human::reason(&error);
        return refuse(input, format!("it cannot be read: {why}"), "name a file that can");
    }
    if bytes.len() as u64 > MAX_BYTES {
        let rule = format!("it is larger than {} MiB", MAX_BYTES >> 20);
        return refuse(input, rule, "use a part of it");
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let line = String::from_utf8_lossy(&error.as_bytes()[..good]).matches('\n').count() + 1;
            refuse(input, format!("line {line} is not UTF-8"), "write it in UTF-8")
        }
    }
}

/// The lines of a file, without their ends; at least one, and none of them empty but on purpose:
/// a newline at the end of the file begins no further line.
pub(super) fn lines(flag: &str, path: &Path) -> Result<Vec<String>, UsageError> {
    let text = text(flag, path)?;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        let input = format!("{flag} {}", path.display());
        return refuse(input, "it has no line", "write one line at least into it");
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn file(name: &str, content: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("loadgen-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn lines_of_a_file() {
        let path = file("lines", b"one\r\n\nthr\xc3\xa9e\n");
        assert_eq!(lines("--data", &path).unwrap(), ["one", "", "thr\u{e9}e"]);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_is_no_input() {
        let bad = file("bad", b"fine\nb\xffd\n");
        let empty = file("empty", b"");
        let missing = PathBuf::from("/no/such/file");
        for (path, said) in
            [(&bad, "line 2 is not UTF-8"), (&empty, "no line"), (&missing, "cannot be read")]
        {
            let error = lines("--data", path).unwrap_err().to_string();
            assert!(error.starts_with("--data ") && error.contains(said), "{error}");
        }
        std::fs::remove_file(bad).unwrap();
        std::fs::remove_file(empty).unwrap();
    }
}
