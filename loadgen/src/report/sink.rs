//! Where the result file goes. It is tried before the run, so that an hour's result is not lost to
//! a typing error, and written in one step, so that nobody reads half of one.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::plan::JsonTo;
use crate::human::reason;

/// The result file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error(
    "--json {}: it cannot be written ({}); name a file in a directory that can",
    .path.display(),
    reason(error)
)]
pub struct SinkError {
    /// The file asked for.
    pub path: PathBuf,
    /// What the system said.
    pub error: io::Error,
}

/// A place for the result file that was found to be writable.
#[derive(Debug)]
pub enum JsonSink {
    /// Standard output.
    Stdout,
    /// A regular file, or one that does not exist yet: replaced by renaming.
    Replace(PathBuf),
    /// A device or a pipe, which must not be replaced.
    Stream(PathBuf, File),
}

impl JsonSink {
    /// Finds out whether the place can be written; leaves nothing behind.
    pub fn open(to: &JsonTo) -> Result<Self, SinkError> {
        match to {
            JsonTo::Stdout => Ok(Self::Stdout),
            JsonTo::File(path) => {
                Self::file(path).map_err(|error| SinkError { path: path.clone(), error })
            }
        }
    }

    fn file(path: &Path) -> io::Result<Self> {
        // A link is followed: its target is replaced, not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(found) if !found.is_file() => {
                let file = File::options().write(true).open(&path)?;
                Ok(Self::Stream(path, file))
            }
            Ok(_) | Err(_) => {
                let beside = beside(&path)?;
                File::create_new(&beside)?;
                fs::remove_file(&beside)?;
                Ok(Self::Replace(path))
            }
        }
    }

    /// Writes the document.
    pub fn write(self, document: &str) -> Result<(), SinkError> {
        let (path, result) = match self {
            Self::Stdout => ("-".into(), write_all(&mut io::stdout().lock(), document)),
            Self::Stream(path, mut file) => (path, write_all(&mut file, document)),
            Self::Replace(path) => {
                let result = replace(&path, document);
                (path, result)
            }
        };
        result.map_err(|error| SinkError { path, error })
    }
}

fn write_all(to: &mut impl Write, document: &str) -> io::Result<()> {
    to.write_all(document.as_bytes())?;
    to.flush()
}

fn replace(path: &Path, document: &str) -> io::Result<()> {
    let beside = beside(path)?;
    let mut file = File::create_new(&beside)?;
    let written = write_all(&mut file, document)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The first error is the one to tell; what is left behind is named like a leftover.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// A hidden name of this process in the same directory, so that renaming stays in one file system.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", std::process::id()));
    Ok(path.with_file_name(hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of this test's own, removed at its end.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("loadgen-{name}-{}", std::process::id()));
            fs::create_dir(&dir).unwrap();
            Self(dir)
        }

        fn names(&self) -> Vec<OsString> {
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name()).collect()
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn open(path: impl Into<PathBuf>) -> Result<JsonSink, SinkError> {
        JsonSink::open(&JsonTo::File(path.into()))
    }

    #[test]
    fn a_file_appears_whole_and_nothing_else_does() {
        let dir = Dir::new("sink");
        let path = dir.0.join("result.json");
        let sink = open(&path).unwrap();
        assert!(dir.names().is_empty(), "trying leaves nothing behind");
        sink.write("{}\n").unwrap();
        open(&path).unwrap().write("{\"again\": 1}\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"again\": 1}\n");
        assert_eq!(dir.names(), ["result.json"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_devices_stay_devices() {
        let dir = Dir::new("links");
        fs::write(dir.0.join("target"), "old").unwrap();
        std::os::unix::fs::symlink(dir.0.join("target"), dir.0.join("link")).unwrap();
        open(dir.0.join("link")).unwrap().write("new").unwrap();
        assert_eq!(fs::read_to_string(dir.0.join("target")).unwrap(), "new");
        assert!(fs::symlink_metadata(dir.0.join("link")).unwrap().is_symlink());
        assert!(matches!(open("/dev/null").unwrap(), JsonSink::Stream(..)));
    }

    #[test]
    fn what_cannot_be_written_is_refused_beforehand() {
        let dir = Dir::new("refused");
        let missing = dir.0.join("no/such/result.json");
        for path in [dir.0.clone(), missing, "..".into(), "".into()] {
            let error = open(&path).unwrap_err().to_string();
            assert!(error.contains("--json") && error.contains("cannot be written"), "{error}");
        }
    }
}
