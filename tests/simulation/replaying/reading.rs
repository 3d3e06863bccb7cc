//! Records from files.

use std::fs;
use std::io::{self, ErrorKind};
use std::time::Duration;

use halves::testing::{Faults, replay};
use halves::{Connection, service};

use super::{TWO_LINES, record, upper};
use crate::support::place;

#[test]
fn a_file_is_replayed() {
    let dir = place::dir();
    let path = dir.path().join("two.record");
    fs::write(&path, record(TWO_LINES).to_string()).expect("a file");
    let replay = replay(&path).expect("a record");
    replay.run(upper);
    let replay = replay.pace(2.5).timeout(Duration::from_secs(7));
    let failure = replay.faults(Faults::default()).seed(3).try_run(echo);
    let failure = failure.expect_err("it differs").to_string();
    let (_, source) = failure.split_once("#[test]\n").expect("a test");
    let path = path.display();
    let expected = format!(
        "fn echo_fails_with_seed_3() {{
    replay(\"{path}\").unwrap().timeout(Duration::from_secs(7)).pace(2.5)
        .seed(3)
        .faults(Faults::default())
        .only::<String>([])
        .run(echo);
}}
"
    );
    assert_eq!(source, expected);
}

async fn echo(connection: Connection) -> io::Result<()> {
    service::echo(connection.reader, connection.writer).await
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
