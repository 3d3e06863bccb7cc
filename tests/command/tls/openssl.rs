//! `openssl s_client` as a client.

use std::process::Command;

use super::Files;
use crate::common::Halves;
use crate::session::Session;

/// Starts `openssl s_client`, which trusts the CA.
pub(crate) fn s_client(files: &Files, at: &str, args: &[&str]) -> Session {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-connect", at, "-CAfile", &files.ca()])
        .arg("-verify_return_error")
        .args(args);
    Session::start(command)
}

/// Starts it as a client of the first listener.
pub(crate) fn client(files: &Files, server: &Halves, args: &[&str]) -> Session {
    s_client(files, &server.at[0].to_string(), args)
}

/// Sends `hello` to `upper`, and waits for the answer.
pub(crate) fn is_served(client: &mut Session) {
    client.send("hello\n");
    client.wait_for("HELLO\n");
}

/// Ends it in order, with `close_notify`.
pub(crate) fn quit(mut client: Session) {
    // A command has to be alone in what is read.
    client.send("Q\n");
    assert!(client.end().success(), "{}", client.text());
}
