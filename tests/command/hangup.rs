//! The controlling terminal of the command is closed.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::process::Command;

use rustix::process::Signal;

use crate::common::{Halves, has, port_in, with_port};
use crate::support::skip::skip;
use crate::support::terminal::terminal;

/// The command as a session leader, with standard input as its controlling terminal.
fn at_terminal(program: &OwnedFd) -> Option<Command> {
    if !has("setsid") {
        return None;
    }
    let mut setsid = Command::new("setsid");
    setsid.args(["--ctty", env!("CARGO_BIN_EXE_halves")]);
    setsid.args(with_port(&["upper"]));
    setsid.stdin(program.try_clone().expect("a descriptor"));
    Some(setsid)
}

#[test]
fn a_closed_terminal_begins_the_drain() {
    let (person, program) = terminal().expect("a pseudo-terminal");
    let Some(mut command) = at_terminal(&program) else {
        return skip("a_closed_terminal_begins_the_drain", "there is no setsid");
    };
    let mut server = Halves::start(&mut command);
    drop((command, program));
    server.wait_until_listening(1);
    let mut client = server.client();
    client.ask("here");
    // While the terminal is there, the signal reads the rules again.
    server.signal(Signal::HUP);
    assert_eq!(server.wait_for("reloaded"), "reloaded rules=0");
    drop(person);
    server.wait_for("draining connections=1 ");
    assert_eq!(client.ask("still here"), "STILL HERE");
    // A shell may send HUP as well; the second HUP must not force the end.
    server.signal(Signal::HUP);
    client.finish();
    assert_eq!(server.code(), Some(0), "{:#?}", server.log);
}

#[test]
fn a_closed_terminal_that_is_the_log_begins_the_drain() {
    let (person, program) = terminal().expect("a pseudo-terminal");
    let name = "a_closed_terminal_that_is_the_log_begins_the_drain";
    let Some(mut command) = at_terminal(&program) else {
        return skip(name, "there is no setsid");
    };
    let child = command.stderr(program).spawn().expect("it starts");
    let mut server = Halves::without_log(child);
    drop(command);
    let mut line = String::new();
    let mut person = BufReader::new(File::from(person));
    person
        .read_line(&mut line)
        .expect("a line with its address");
    // On a terminal each line begins with the time.
    let (time, rest) = line.split_once(' ').expect("two words");
    assert!(time.starts_with("20") && time.ends_with('Z'), "{line}");
    assert!(rest.starts_with("listening local="), "{line}");
    server.at = vec![([127, 0, 0, 1], port_in(&line)).into()];
    server.client().ask("here");
    drop(person);
    assert_eq!(server.code(), Some(0));
}
