//! Where a document of the result goes. It is tried before the run, so that an hour's result is not
//! lost to a typing error, and written in one step, so that nobody reads half of one.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::plan::{Format, Output, Place};
use crate::human::reason;

/// A document cannot be written.
#[derive(Debug, thiserror::Error)]
#[error(
    "{flag} {}: it cannot be written ({}); name a file in a directory that can",
    .path.display(),
    reason(error)
)]
pub struct SinkError {
    /// The flag that asked for it.
    pub flag: &'static str,
    /// The file asked for.
    pub path: PathBuf,
    /// What the system said.
    pub error: io::Error,
}

/// A place for a document that was found to be writable.
#[derive(Debug)]
pub struct Sink {
    output: Output,
    target: Target,
}

#[derive(Debug)]
enum Target {
    Stdout,
    /// A regular file, or one that does not exist yet: replaced by renaming.
    Replace(PathBuf),
    /// A device or a pipe, which must not be replaced.
    Stream(File),
}

impl Sink {
    /// Finds out whether the place can be written; leaves nothing behind.
    pub fn open(output: &Output) -> Result<Self, SinkError> {
        let target = match &output.to {
            Place::Stdout => Ok(Target::Stdout),
            Place::File(path) => Self::file(path),
        };
        let output = output.clone();
        match target {
            Ok(target) => Ok(Self { output, target }),
            Err(error) => Err(refused(&output, error)),
        }
    }

    /// What is to be written.
    pub fn format(&self) -> Format {
        self.output.format
    }

    fn file(path: &Path) -> io::Result<Target> {
        // A link is followed: its target is replaced, not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(found) if !found.is_file() => {
                let file = File::options().write(true).open(&path)?;
                Ok(Target::Stream(file))
            }
            Ok(_) | Err(_) => {
                let beside = beside(&path)?;
                File::create_new(&beside)?;
                fs::remove_file(&beside)?;
                Ok(Target::Replace(path))
            }
        }
    }

    /// Writes the document.
    pub fn write(self, document: &[u8]) -> Result<(), SinkError> {
        let result = match self.target {
            Target::Stdout => write_all(&mut io::stdout().lock(), document),
            Target::Stream(mut file) => write_all(&mut file, document),
            Target::Replace(path) => replace(&path, document),
        };
        result.map_err(|error| refused(&self.output, error))
    }
}

fn refused(output: &Output, error: io::Error) -> SinkError {
    let path = match &output.to {
        Place::Stdout => "-".into(),
        Place::File(path) => path.clone(),
    };
    SinkError { flag: output.format.flag(), path, error }
}

fn write_all(to: &mut impl Write, document: &[u8]) -> io::Result<()> {
    to.write_all(document)?;
    to.flush()
}

fn replace(path: &Path, document: &[u8]) -> io::Result<()> {
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

    fn open(path: impl Into<PathBuf>) -> Result<Sink, SinkError> {
        Sink::open(&Output { format: Format::Json, to: Place::File(path.into()) })
    }

    #[test]
    fn a_file_appears_whole_and_nothing_else_does() {
        let dir = Dir::new("sink");
        let path = dir.0.join("result.json");
        let sink = open(&path).unwrap();
        assert!(dir.names().is_empty(), "trying leaves nothing behind");
        sink.write(b"{}\n").unwrap();
        open(&path).unwrap().write(b"{\"again\": 1}\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"again\": 1}\n");
        assert_eq!(dir.names(), ["result.json"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_devices_stay_devices() {
        let dir = Dir::new("links");
        fs::write(dir.0.join("target"), "old").unwrap();
        std::os::unix::fs::symlink(dir.0.join("target"), dir.0.join("link")).unwrap();
        open(dir.0.join("link")).unwrap().write(b"new").unwrap();
        assert_eq!(fs::read_to_string(dir.0.join("target")).unwrap(), "new");
        assert!(fs::symlink_metadata(dir.0.join("link")).unwrap().is_symlink());
        assert!(matches!(open("/dev/null").unwrap().target, Target::Stream(_)));
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
