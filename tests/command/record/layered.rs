//! Records above TLS and a PROXY header, and those of other commands.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use super::Recording;
use crate::common::{Halves, halves, serve, with_port};
use crate::support::place;
use crate::tls::Files;

#[test]
fn a_record_of_tls_has_the_decrypted_bytes() {
    let files = Files::new();
    let options = files.options("server", &["localhost", "127.0.0.1"]);
    let options = options.each_ref().map(String::as_str);
    let recording = Recording::serve(&[&["upper"], &options[..]].concat());
    let target = format!("{},tls,ca={}", recording.server.at[0], files.ca());
    let mut client = halves(&["connect", &target]);
    let client = client.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = client.spawn().expect("it starts");
    let mut input = client.stdin.take().expect("a pipe");
    input.write_all(b"secret").expect("it reads");
    drop(input);
    let output = client.wait_with_output().expect("a child");
    assert_eq!(
        (output.status.code(), output.stdout),
        (Some(0), b"SECRET".to_vec())
    );
    let record = recording.end_with_one();
    assert_eq!(
        (record.input(), record.answer()),
        (b"secret".to_vec(), b"SECRET".to_vec())
    );
}

#[test]
fn a_record_has_the_client_of_the_proxy_header() {
    let header = ["--proxy-protocol=any", "--trust-proxy=127.0.0.0/8"];
    let recording = Recording::serve(&[&["upper"], &header[..]].concat());
    let client = recording.server.client();
    let answer = client.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 40112 443\r\nhello");
    assert_eq!(answer, b"HELLO");
    let record = recording.end_with_one();
    assert_eq!(record.client, "192.0.2.1:40112");
    assert_eq!(
        (record.input(), record.answer()),
        (b"hello".to_vec(), b"HELLO".to_vec())
    );
}

#[test]
fn a_program_of_exec_has_pipes_and_is_recorded() {
    let script = "[ -p /dev/stdin ] && [ -p /dev/stdout ] && read line && echo \"got $line\"";
    let recording = Recording::start(|dir| {
        let listen = ["exec", "--listen", "127.0.0.1:0", "--record", dir];
        Halves::start(&mut halves(&[&listen[..], &["sh", "-c", script]].concat()))
    });
    assert_eq!(recording.server.client().send(b"hello\n"), b"got hello\n");
    let record = recording.end_with_one();
    assert_eq!(
        (record.input(), record.answer()),
        (b"hello\n".to_vec(), b"got hello\n".to_vec())
    );
}

#[test]
fn a_relay_is_recorded_from_the_side_of_its_client() {
    let target = serve(&["upper"]);
    let to = target.at[0].to_string();
    let recording = Recording::start(|dir| {
        let args = ["proxy", &to, "--listen", "127.0.0.1:0", "--record", dir];
        Halves::start(&mut halves(&args))
    });
    // More than would be spliced.
    let sent = b"hello\n".repeat(50_000);
    let mut client = recording.server.client();
    let mut writing = client.0.try_clone().expect("a socket");
    let bytes = sent.clone();
    let writer = std::thread::spawn(move || {
        writing.write_all(&bytes)?;
        writing.shutdown(std::net::Shutdown::Write)
    });
    assert_eq!(client.rest(), sent.to_ascii_uppercase());
    writer.join().expect("a thread").expect("a write");
    let record = recording.end_with_one();
    assert!(sent.starts_with(&record.input()) && record.input().len() == sent.len());
    assert!(record.answer() == sent.to_ascii_uppercase());
}

#[test]
fn an_option_file_turns_records_on() {
    let place = place::dir();
    let file = place.path().join("conf").display().to_string();
    let recording = Recording::start(|dir| {
        fs::write(&file, format!("record {dir}\nrecord-limit 2k\n")).expect("a file");
        Halves::start(&mut halves(&with_port(&["upper", "--config", &file])))
    });
    assert_eq!(recording.server.client().send(b"hello"), b"HELLO");
    assert_eq!(recording.end_with_one().answer(), b"HELLO");
}
