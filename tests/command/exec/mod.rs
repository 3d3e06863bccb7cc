//! `halves exec`: a program for each connection.

mod ending;
mod environment;
mod others;
mod process;
mod starting;
mod streams;

use std::collections::BTreeMap;

use crate::common::{Halves, halves};

/// The arguments of `exec` on a free port.
fn args<'a>(options: &[&'a str], program: &[&'a str]) -> Vec<&'a str> {
    let listen = ["exec", "--listen", "127.0.0.1:0"];
    [&listen, options, program].concat()
}

/// Starts `exec` with this program on a free port, and waits until it listens.
fn exec(options: &[&str], program: &[&str]) -> Halves {
    let mut server = Halves::start(&mut halves(&args(options, program)));
    server.wait_until_listening(1);
    server
}

/// Starts it with a script of the shell.
fn sh(options: &[&str], script: &str) -> Halves {
    exec(options, &["sh", "-c", script])
}

/// Parses what `env` prints.
fn variables(printed: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8(printed.to_vec()).expect("text");
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
