//! Records from files.

use std::fs;
use std::io::ErrorKind;

use halves::testing::replay;

use super::{TWO_LINES, record, upper};
use crate::support::place;

#[test]
fn a_file_is_replayed() {
    let dir = place::dir();
    let path = dir.path().join("two.record");
    fs::write(&path, record(TWO_LINES).to_string()).expect("a file");
    replay(&path).expect("a record").run(upper);
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_with_its_path() {
    let dir = place::dir();
    let path = dir.path().join("missing.record");
    let error = replay(&path).expect_err("no file");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let start = format!("{}: ", path.display());
    assert!(error.to_string().starts_with(&start), "{error}");

    fs::write(&path, "halves-record 1\n0 over\n").expect("a file");
    let error = replay(&path).expect_err("no record");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let start = format!("{}: line 2: ", path.display());
    assert!(error.to_string().starts_with(&start), "{error}");
}
