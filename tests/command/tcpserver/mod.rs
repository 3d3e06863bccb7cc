//! `halves tcpserver`: the flags, messages and exit codes of tcpserver.

mod differential;
mod ending;
mod usage;

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::common::{Halves, halves};

/// The command with these words, under the name `tcpserver`.
fn ours(words: &[&str]) -> Command {
    let mut command = halves(words);
    command.arg0("/some/where/tcpserver");
    command
}

/// Starts a server with `-1` on a free port, and waits until it listens.
fn start(mut command: Command) -> Halves {
    let mut server = Halves::start(command.stdin(Stdio::null()).stdout(Stdio::piped()));
    drop(command);
    let stdout = server.child().stdout.take().expect("a pipe");
    let mut port = String::new();
    let mut stdout = BufReader::new(stdout);
    stdout.read_line(&mut port).expect("text");
    let port = port.trim_end().parse().expect("a port");
    server.at = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))];
    // Nothing follows, and the end is there.
    assert_eq!(stdout.read_line(&mut String::new()).expect("its end"), 0);
    server
}
