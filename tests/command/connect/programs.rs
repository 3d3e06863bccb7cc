//! Servers of others.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::{answer, ask};
use crate::common::{Client, free_address, free_port};
use crate::session::lacks;
use crate::support::place;
use crate::tls::Files;

/// A program that is killed at the end of the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn openssl_answers_over_tls() {
    if lacks("openssl", "openssl_answers_over_tls") {
        return;
    }
    let files = Files::new();
    let [cert, key] = files.leaf("server", &files.authority.server(&["127.0.0.1"]));
    let port = free_port();
    let mut openssl = Command::new("openssl");
    openssl
        .args([
            "s_server",
            "-quiet",
            "-rev",
            "-accept",
            &format!("127.0.0.1:{port}"),
        ])
        .args(["-cert", &cert, "-key", &key])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _server = Program(openssl.spawn().expect("it starts"));
    drop(Client::connect_in_time(([127, 0, 0, 1], port).into()));
    let target = format!("127.0.0.1:{port},tls,ca={}", files.ca());
    // The server ends the connection at this word, without its own end of the input.
    let output = ask(&[&target], b"hello\nCLOSE\n");
    assert_eq!(output.stdout, b"olleh\n", "{output:?}");
}

#[test]
fn the_http_server_of_python_answers() {
    if lacks("python3", "the_http_server_of_python_answers") {
        return;
    }
    let dir = place::dir();
    std::fs::write(dir.path().join("file"), "the text").expect("a file");
    let port = free_address(std::net::Ipv4Addr::LOCALHOST).port();
    let mut python = Command::new("python3");
    python
        .args([
            "-u",
            "-m",
            "http.server",
            "--bind",
            "127.0.0.1",
            &port.to_string(),
        ])
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut server = Program(python.spawn().expect("it starts"));
    let mut lines = BufReader::new(server.0.stdout.take().expect("a pipe")).lines();
    lines.next().expect("a line").expect("it listens");
    let target = format!("127.0.0.1:{port}");
    let text = answer(&ask(&[&target], b"GET /file HTTP/1.0\r\n\r\n"));
    assert!(text.ends_with("\r\n\r\nthe text"), "{text}");
}
