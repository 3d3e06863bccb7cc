//! The file of one record.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::mem;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use humantime::format_rfc3339_micros;

/// Only the user of the server reads a record.
const MODE: u32 = 0o600;

/// A file of whole lines.
pub(super) struct RecordFile {
    file: File,
    path: PathBuf,
    /// The size of the whole lines in the file.
    length: u64,
    /// Lines that are not written yet.
    unwritten: Vec<u8>,
}

/// Returns the name of a file, as in `20261127T134651.123456Z-4711-12.record`. The names of a
/// directory sort by time; the process and the number of the connection make each one unique.
pub(super) fn name(now: Duration, process: u32, connection: u64) -> String {
    let time = format_rfc3339_micros(UNIX_EPOCH + now).to_string();
    let time = time.replace(['-', ':'], "");
    format!("{time}-{process}-{connection}.record")
}

impl RecordFile {
    /// Makes a new file. A file or a link that has the name already is left alone.
    pub(super) fn create(dir: &Path, name: &str) -> io::Result<Self> {
        let path = dir.join(name);
        let mut options = OpenOptions::new();
        let file = options
            .append(true)
            .create_new(true)
            .mode(MODE)
            .open(&path)?;
        // The umask may have taken bits away.
        file.set_permissions(Permissions::from_mode(MODE))?;
        Ok(Self {
            file,
            path,
            length: 0,
            unwritten: Vec::new(),
        })
    }

    /// Adds whole lines, which the next [`write`](Self::write) writes. Returns true if they are the
    /// first ones since the last.
    pub(super) fn add(&mut self, lines: &str) -> bool {
        let first = self.unwritten.is_empty();
        self.unwritten.extend_from_slice(lines.as_bytes());
        first
    }

    /// Writes the lines that were added. After an error the file has whole lines only, and a last one
    /// with the cause, if that can be written.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let lines = mem::take(&mut self.unwritten);
        let (written, result) = self.append(&lines);
        if let Err(error) = &result {
            self.cut(&lines[written..], error.kind());
        }
        result
    }

    /// Appends lines. Returns the size of the whole lines that are written.
    fn append(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        let mut written = 0;
        let result = loop {
            if written == lines.len() {
                break Ok(());
            }
            match self.file.write(&lines[written..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => written += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        let last = lines[..written].iter().rposition(|&byte| byte == b'\n');
        let whole = last.map_or(0, |at| at + 1);
        self.length += whole as u64;
        if whole < written {
            // Without the part of a line, which a reader would refuse.
            let _ = self.file.set_len(self.length);
        }
        (whole, result)
    }

    /// Ends the file in front of the lines `rest`.
    fn cut(&mut self, rest: &[u8], cause: io::ErrorKind) {
        if self.length == 0 {
            // Without its first line, this is no record.
            let _ = fs::remove_file(&self.path);
            return;
        }
        let _ = self.append(cut_line(time_of(rest), cause).as_bytes());
    }
}

/// Returns the line of a record that ends early.
pub(super) fn cut_line(time: &str, cause: impl fmt::Display) -> String {
    format!("{time} cut {cause}\n")
}

/// Returns the time of the first line, or that of the begin for a line in front of the events.
fn time_of(lines: &[u8]) -> &str {
    let word = lines.split(|&byte| byte == b' ').next().unwrap_or_default();
    let time = str::from_utf8(word).unwrap_or_default();
    if time.starts_with(|first: char| first.is_ascii_digit()) {
        time
    } else {
        "0.000000"
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_name_has_the_time_the_process_and_the_connection() {
        let now = Duration::from_micros(1_795_787_211_123_456);
        assert_eq!(
            name(now, 4711, 12),
            "20261127T134651.123456Z-4711-12.record"
        );
    }

    #[test]
    fn a_file_or_a_link_of_the_name_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let [file, target] = ["file", "target"].map(|name| dir.path().join(name));
        fs::write(&file, "mine").expect("a file");
        symlink(&target, dir.path().join("link")).expect("a link");
        for name in ["file", "link"] {
            let error = RecordFile::create(dir.path(), name).err().expect(name);
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        }
        assert_eq!(fs::read_to_string(&file).expect("a file"), "mine");
        assert!(!target.exists());
    }

    #[test]
    fn lines_are_written_at_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut file = RecordFile::create(dir.path(), "a").expect("a file");
        assert!(file.add("one\n"));
        assert!(!file.add("two\n"));
        file.write().expect("room");
        assert!(file.add("three\n"));
        file.write().expect("room");
        let text = fs::read_to_string(dir.path().join("a")).expect("a file");
        assert_eq!((text.as_str(), file.length), ("one\ntwo\nthree\n", 14));
    }

    #[test]
    fn the_time_of_a_cut_is_that_of_the_first_line_that_is_lost() {
        for (lines, time) in [
            ("1.500000 in \"a\"\n2.000000 reset\n", "1.500000"),
            ("client 192.0.2.1:7\n1.5 reset\n", "0.000000"),
            ("", "0.000000"),
        ] {
            assert_eq!(time_of(lines.as_bytes()), time);
        }
        assert_eq!(
            cut_line("1.500000", io::ErrorKind::StorageFull),
            "1.500000 cut no storage space\n"
        );
    }
}
