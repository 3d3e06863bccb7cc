//! Where tests have their sockets, and files that logs name.

use std::env;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The path of a socket has room for 103 bytes, or 107 on Linux; this leaves some for its name.
const LONGEST: usize = 64;

/// A directory that is removed when it is dropped. It is in `TMPDIR`, or in `/tmp` if that is too long
/// for sockets, relative, or has letters that addresses and logs quote.
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
    path.starts_with('/') && path.len() <= LONGEST && path.chars().all(plain)
}
