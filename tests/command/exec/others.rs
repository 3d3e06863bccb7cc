//! The environment of a program, beside that of servers of others.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use super::variables;
use crate::common::{Client, free_port, halves};
use crate::session::lacks;

/// A server of others, and the variables by which it describes a connection.
struct Other {
    program: &'static str,
    args: fn(&str) -> Vec<String>,
    /// Their name, and ours for the same value.
    names: &'static [(&'static str, &'static str)],
    /// The beginnings of further names.
    more: &'static [&'static str],
}

const OTHERS: &[Other] = &[
    Other {
        program: "tcpserver",
        args: |port| words(&["-RHl0", "127.0.0.1", port, "env"]),
        names: &[
            ("PROTO", "PROTO"),
            ("TCPLOCALIP", "TCPLOCALIP"),
            ("TCPLOCALPORT", "TCPLOCALPORT"),
            ("TCPREMOTEIP", "TCPREMOTEIP"),
            ("TCPREMOTEPORT", "TCPREMOTEPORT"),
        ],
        more: &["TCPLOCALHOST"],
    },
    Other {
        program: "ncat",
        args: |port| words(&["-l", "127.0.0.1", port, "-e", "/usr/bin/env"]),
        names: &[
            ("NCAT_PROTO", "PROTO"),
            ("NCAT_LOCAL_ADDR", "TCPLOCALIP"),
            ("NCAT_LOCAL_PORT", "TCPLOCALPORT"),
            ("NCAT_REMOTE_ADDR", "REMOTE_ADDR"),
            ("NCAT_REMOTE_PORT", "REMOTE_PORT"),
        ],
        more: &[],
    },
    Other {
        program: "socat",
        args: |port| words(&[&format!("TCP-LISTEN:{port},bind=127.0.0.1"), "EXEC:env"]),
        names: &[
            ("SOCAT_SOCKADDR", "TCPLOCALIP"),
            ("SOCAT_SOCKPORT", "TCPLOCALPORT"),
            ("SOCAT_PEERADDR", "TCPREMOTEIP"),
            ("SOCAT_PEERPORT", "TCPREMOTEPORT"),
        ],
        more: &["SOCAT_"],
    },
    Other {
        program: "systemd-socket-activate",
        args: |port| {
            words(&[
                "-l",
                &format!("127.0.0.1:{port}"),
                "-aE",
                "KEPT",
                "--inetd",
                "env",
            ])
        },
        // Some versions have none.
        names: &[],
        more: &["REMOTE_", "LISTEN_"],
    },
];

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// The variables that describe a connection to ours.
const OURS: &[&str] = &["PROTO", "TCP", "REMOTE_"];

/// A server, which is killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The output of `env` for a client of this server, and the variables with their true values.
fn environment(command: &mut Command, port: u16) -> [BTreeMap<String, String>; 2] {
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("KEPT", "a b=c")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _running = Running(command.spawn().expect("it starts"));
    let at = ([127, 0, 0, 1], port).into();
    let mut client = Client::connect_in_time(at);
    let own = client.0.local_addr().expect("an address");
    let (ip, own_port, port) = (
        "127.0.0.1".to_owned(),
        own.port().to_string(),
        port.to_string(),
    );
    let truth = [
        ("PROTO", "TCP".to_owned()),
        ("TCPLOCALIP", ip.clone()),
        ("TCPLOCALPORT", port),
        ("TCPREMOTEIP", ip.clone()),
        ("TCPREMOTEPORT", own_port.clone()),
        ("REMOTE_ADDR", ip),
        ("REMOTE_PORT", own_port),
    ];
    let truth = truth.map(|(name, value)| (name.to_owned(), value));
    [variables(&client.rest()), truth.into()]
}

/// Removes variables with names that begin so.
fn without(mut all: BTreeMap<String, String>, begins: &[&str]) -> BTreeMap<String, String> {
    all.retain(|name, _| !begins.iter().any(|begin| name.starts_with(begin)));
    all
}

#[test]
fn each_server_describes_the_same_connection() {
    for other in OTHERS {
        if lacks(other.program, "each_server_describes_the_same_connection") {
            continue;
        }
        let port = free_port();
        let listen = port.to_string();
        let mut command = Command::new(other.program);
        command.args((other.args)(&listen));
        let [theirs, their_truth] = environment(&mut command, port);

        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let mut command = halves(&["exec", "-q", "--listen", &listen, "env"]);
        let [ours, our_truth] = environment(&mut command, port);

        for (their_name, name) in other.names {
            let program = other.program;
            assert_eq!(theirs.get(*their_name), their_truth.get(*name), "{program}");
            assert_eq!(ours.get(*name), our_truth.get(*name), "{program}");
        }
        let names: Vec<_> = other.names.iter().map(|(name, _)| *name).collect();
        let theirs = without(without(theirs, &names), other.more);
        // All the rest is passed on, and nothing is added.
        assert_eq!(without(ours, OURS), theirs, "{}", other.program);
        assert_eq!(theirs.get("KEPT").map(String::as_str), Some("a b=c"));
    }
}
