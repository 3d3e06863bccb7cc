//! The metrics listener of a running server.

mod addresses;
mod checker;
mod families;
mod hostile;
mod page;
mod probes;

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;

use crate::common::{Client, Halves, TIMEOUT, halves, port_in};

/// A server with a metrics listener.
struct Measured {
    server: Halves,
    metrics: SocketAddr,
}

/// A response.
#[derive(Debug)]
struct Answer {
    head: String,
    body: String,
}

/// Starts a server of the command with these words, a free port and a metrics listener.
fn measured(words: &[&str]) -> Measured {
    let listen = ["--listen=127.0.0.1:0", "--metrics=127.0.0.1:0"];
    let words = [&words[..1], &listen, &words[1..]].concat();
    let mut server = Halves::start(&mut halves(&words));
    server.wait_until_listening(1);
    let metrics = loop {
        let line = server.wait_for("listening");
        if line.ends_with(" service=metrics") {
            break ([127, 0, 0, 1], port_in(&line)).into();
        }
    };
    Measured { server, metrics }
}

/// A request for a path, with further fields.
fn request(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

impl Measured {
    fn connect(&self) -> Client {
        Client::new(self.metrics)
    }

    fn get(&self, path: &str) -> Answer {
        self.get_with(path, "")
    }

    fn get_with(&self, path: &str, fields: &str) -> Answer {
        let bytes = self.connect().send(request(path, fields).as_bytes());
        Answer::parse(&String::from_utf8(bytes).expect("text"))
    }

    /// Waits until so many bytes count as sent. A client may have them a moment earlier.
    fn wait_until_sent(&self, bytes: u64) {
        let deadline = Instant::now() + TIMEOUT;
        while self.json("/stats")["out"] != bytes {
            assert!(Instant::now() < deadline, "{}", self.json("/stats"));
        }
    }

    fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status(), 200, "{answer:?}");
        serde_json::from_str(&answer.body).expect("JSON")
    }
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let answer = Self {
            head: head.to_owned(),
            body: body.to_owned(),
        };
        assert_eq!(answer.field("Content-Length"), body.len().to_string());
        answer
    }

    fn status(&self) -> u16 {
        let status = self.head.strip_prefix("HTTP/1.1 ").expect("a status");
        status[..3].parse().expect("a number")
    }

    fn field(&self, name: &str) -> &str {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let (_, value) = fields.find(|(found, _)| *found == name).expect(name);
        value
    }
}
