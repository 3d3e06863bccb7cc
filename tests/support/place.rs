//! Directories for the sockets of tests, and for files that logs name.

use std::env;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The path of a socket has at most 103 bytes, 107 on Linux; this leaves room for its name.
const MAX_DIR_BYTES: usize = 64;

/// A directory that is removed when it is dropped. It is in `TMPDIR`. It is in `/tmp` if `TMPDIR`
/// is too long for sockets, relative, or has characters that addresses and logs quote.
pub(crate) fn dir() -> TempDir {
    let given = env::temp_dir();
    let place = if is_plain(&given) {
        given
    } else {
        PathBuf::from("/tmp")
    };
    tempfile::tempdir_in(place).expect("a directory")
}

fn is_plain(path: &Path) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let path = path.to_str().unwrap_or_default();
    path.starts_with('/') && path.len() <= MAX_DIR_BYTES && path.chars().all(plain)
}
