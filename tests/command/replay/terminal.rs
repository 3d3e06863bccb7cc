//! The progress, on a pseudo-terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::mpsc;

use super::HELLO;
use crate::connect::server;
use crate::support::terminal::terminal;

#[test]
fn a_long_replay_shows_its_bytes_and_erases_the_line() {
    let (person, program) = terminal().expect("a pseudo-terminal");
    let (end, ended) = mpsc::channel::<()>();
    let (address, serving) = server(move |mut client| {
        client.write_all(b"HEL").expect("it reads");
        let _ = ended.recv();
        client.write_all(b"LO\n").expect("it reads");
        client.read_to_end(&mut Vec::new()).expect("the input");
    });
    let file = super::File::new(HELLO);
    let mut command = file.command(&[&address]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.stderr(program).spawn().expect("it starts");
    drop(command);
    let mut person = File::from(person);
    let mut end = Some(end);
    let (mut text, mut chunk) = (String::new(), [0; 1024]);
    // The last descriptor of the program's end is closed when the command has ended.
    while let Ok(n @ 1..) = person.read(&mut chunk) {
        text.push_str(&String::from_utf8_lossy(&chunk[..n]));
        if text.matches("/s, ").count() >= 2 {
            end = None;
        }
    }
    drop(end);
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{text}");
    serving.join().expect("it serves");
    let lines: Vec<_> = text.split("\r\u{1b}[K").collect();
    assert!(lines[1].starts_with("3 B in, 6 B out, "), "{text}");
    assert_eq!((lines[0], lines.last()), ("", Some(&"")), "{text}");
}
