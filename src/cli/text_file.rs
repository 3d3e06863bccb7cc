//! Text files that the command reads: rules and configurations.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The largest file.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// An error in a text file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileError {
    pub(super) file: PathBuf,
    /// Counted from 1; None if the error concerns the whole file.
    pub(super) line: Option<usize>,
    pub(super) message: String,
}

impl FileError {
    pub(super) fn new(file: &Path, line: Option<usize>, message: impl fmt::Display) -> Self {
        Self {
            file: file.to_owned(),
            line,
            message: message.to_string(),
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.message)
    }
}

/// Reads a regular file of at most 1 MiB, and passes each line to `each`, with its number from 1.
/// The error of `each` becomes one of its line. Blocks.
pub(super) fn read<E: fmt::Display>(
    file: &Path,
    mut each: impl FnMut(usize, &str) -> Result<(), E>,
) -> Result<(), FileError> {
    let failed = |problem: io::Error| FileError::new(file, None, problem);
    // A pipe can be read only once, and its open may block for ever.
    if !fs::metadata(file).map_err(failed)?.is_file() {
        return Err(FileError::new(file, None, "not a regular file"));
    }
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(failed)?;
    let read = opened.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    if read.map_err(failed)? as u64 > MAX_FILE_BYTES {
        return Err(FileError::new(file, None, "longer than 1 MiB"));
    }
    for (n, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let bad = |message: &dyn fmt::Display| FileError::new(file, Some(n + 1), message);
        let line = str::from_utf8(line).map_err(|_| bad(&"not UTF-8 text"))?;
        each(n + 1, line).map_err(|problem| bad(&problem))?;
    }
    Ok(())
}
