//! The whole way: a server records a client, and its file is replayed.

use std::fs;

use super::same;
use crate::common::{run, serve};
use crate::connect::complaint;
use crate::support::place;

#[test]
fn what_a_server_has_recorded_is_replayed() {
    let dir = place::dir();
    let folder = dir.path().display().to_string();
    let mut server = serve(&["upper", "--record", &folder]);
    assert_eq!(server.client().ask("hello\n"), "HELLO\n");
    assert_eq!(server.client().send(b"bye\n"), b"BYE\n");
    server.end();
    let files: Vec<_> = fs::read_dir(dir.path())
        .expect("a directory")
        .map(|file| file.expect("a file").path().display().to_string())
        .collect();
    assert_eq!(files.len(), 2, "{files:?}");
    let (upper, echo) = (serve(&["upper"]), serve(&["echo"]));
    for file in files {
        same(&run(&["replay", &file, &upper.at[0].to_string()]));
        let output = run(&["replay", &file, &echo.at[0].to_string()]);
        let line = complaint(&output, 1);
        assert!(
            line.starts_with("the answer differs after 0 bytes (line 6 "),
            "{line}"
        );
    }
}
