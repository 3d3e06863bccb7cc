//! The progress, on a pseudo-terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::mpsc;

use rustix::process::{Pid, Signal, kill_process};

use super::{connect, server};
use crate::support::terminal::terminal;

/// Goes to the beginning of the line, and erases it.
const ERASE: &str = "\r\u{1b}[K";

/// Runs a command on a terminal as standard error, with a peer that ends when `ends` returns true
/// for what was shown so far. Returns all that was shown.
fn shown(ends: impl Fn(&str) -> bool) -> String {
    let (person, program) = terminal().expect("a pseudo-terminal");
    let (end, ended) = mpsc::channel::<()>();
    let (address, serving) = server(move |mut client| {
        client.write_all(b"hello").expect("sent");
        let _ = ended.recv();
    });
    let mut command = connect(&[&address]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(program);
    let mut child = command.spawn().expect("it starts");
    drop(command);
    let mut person = File::from(person);
    let mut end = Some(end);
    let (mut text, mut chunk) = (String::new(), [0; 1024]);
    if ends(&text) {
        end = None;
    }
    // The last descriptor of the program's end is closed when the command has ended.
    while let Ok(n @ 1..) = person.read(&mut chunk) {
        text.push_str(&String::from_utf8_lossy(&chunk[..n]));
        if ends(&text) {
            end = None;
        }
    }
    drop(end);
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{text}");
    serving.join().expect("it serves");
    text
}

#[test]
fn a_long_connection_shows_its_bytes_and_erases_the_line() {
    let text = shown(|text| text.matches("/s, ").count() >= 2);
    let lines: Vec<_> = text.split(ERASE).collect();
    assert!(lines[1].starts_with("5 B in, 0 B out, "), "{text}");
    assert_eq!((lines[0], lines.last()), ("", Some(&"")), "{text}");
    assert!(!text.contains('\n'), "the line is written again: {text}");
}

#[test]
fn a_short_connection_shows_nothing() {
    assert_eq!(shown(|_| true), "");
}

#[test]
fn a_signal_erases_the_line() {
    let (person, program) = terminal().expect("a pseudo-terminal");
    let (end, ended) = mpsc::channel::<()>();
    let (address, serving) = server(move |_client| {
        let _ = ended.recv();
    });
    let mut command = connect(&[&address]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(program);
    let mut child = command.spawn().expect("it starts");
    drop(command);
    let mut person = File::from(person);
    let (mut text, mut chunk) = (String::new(), [0; 1024]);
    while let Ok(n @ 1..) = person.read(&mut chunk) {
        text.push_str(&String::from_utf8_lossy(&chunk[..n]));
        if text.contains("/s, ") {
            // It may have ended after an earlier signal.
            let _ = kill_process(Pid::from_child(&child), Signal::INT);
        }
    }
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(text.ends_with(ERASE), "{text:?}");
    drop(end);
    serving.join().expect("it serves");
}
