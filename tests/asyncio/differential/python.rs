//! The Python side of the comparisons.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Starts a script of this folder, between pipes. None if there is no python3.
pub(crate) fn python(script: &str) -> Option<Child> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/asyncio/differential");
    let started = Command::new("python3")
        .arg(folder.join(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    match started {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        started => Some(started.expect("python3 starts")),
    }
}
