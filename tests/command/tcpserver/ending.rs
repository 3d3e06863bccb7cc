//! Signals, users, names and children of `halves tcpserver`.

use std::io::{Read, Write};

use rustix::process::{Signal, geteuid};

use super::{ours, start};
use crate::common::halves;
use crate::support::skip::skip;

/// The answer to a client that ends at once.
fn answer(words: &[&str]) -> String {
    let mut server = start(ours(words));
    let answer = String::from_utf8(server.client().finish()).expect("text");
    server.end();
    answer
}

#[test]
fn children_go_on_after_term_and_end_after_int() {
    for (signal, code) in [(Signal::TERM, 0), (Signal::INT, 130)] {
        let mut command = ours(&["-1RHl0", "127.0.0.1", "0", "sh", "-c"]);
        // Its standard error would keep the log open.
        command.arg("exec 2>/dev/null; echo ready; cat");
        let mut server = start(command);
        let mut client = server.client();
        let mut ready = [0; 6];
        client.0.read_exact(&mut ready).expect("it starts");
        server.signal(signal);
        assert_eq!(server.code(), Some(code));
        if signal == Signal::TERM {
            assert_eq!(client.ask("hello"), "hello");
            assert!(client.finish().is_empty());
        } else {
            let ended = client.0.read_to_end(&mut Vec::new());
            assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
        }
    }
}

#[test]
fn a_client_that_has_just_connected_is_served_after_term() {
    let mut server = start(ours(&[
        "-1RHl0",
        "127.0.0.1",
        "0",
        "sh",
        "-c",
        "cat 2>/dev/null",
    ]));
    let clients: Vec<_> = (0..40).map(|_| server.client()).collect();
    server.signal(Signal::TERM);
    for mut client in clients {
        client.0.write_all(b"hello").expect("it reads");
        assert_eq!(client.finish(), b"hello");
    }
    assert_eq!(server.code(), Some(0));
}

#[test]
fn it_is_a_command_of_halves_as_well() {
    let mut server = start(halves(&["tcpserver", "-1vRHl0", "127.0.0.1", "0", "cat"]));
    assert_eq!(server.client().send(b"hello"), b"hello");
    server.wait_for("tcpserver: end ");
    server.end();
    assert_eq!(
        server.count("tcpserver: status: 0/40"),
        2,
        "{:#?}",
        server.log
    );
}

#[test]
fn names_are_looked_up() {
    let script = "echo $TCPLOCALHOST $TCPREMOTEHOST $TCPREMOTEINFO";
    let words = |flags| ["-1R", flags, "127.0.0.1", "0", "sh", "-c", script];
    assert_eq!(answer(&words("-hl0")), "0 localhost\n");
    assert_eq!(answer(&words("-pl0")), "0 localhost\n");
    assert_eq!(answer(&words("-Hl0")), "0\n");
    assert_eq!(answer(&words("-H")), "localhost\n");
}

/// Each lookup is a call on a thread, which stays for a while.
#[test]
fn without_lookups_no_thread_is_needed() {
    let script = "echo $TCPLOCALHOST; cat /proc/$PPID/task/*/comm";
    let answer = answer(&["-1RHl", "here", "127.0.0.1", "0", "sh", "-c", script]);
    assert!(answer.starts_with("here\n"), "{answer}");
    assert!(answer.contains("halves\n"), "{answer}");
    assert!(!answer.contains("blocking"), "{answer}");
}

#[test]
fn user_and_group_are_changed_after_the_port_is_open() {
    if !geteuid().is_root() {
        skip(
            "user_and_group_are_changed_after_the_port_is_open",
            "not root",
        );
        return;
    }
    let script = "id -u; id -g; id -G";
    let words = ["-1RHl0", "127.0.0.1", "0", "sh", "-c", script];
    let given = [&["-u65534", "-g65533"], &words[..]].concat();
    assert_eq!(answer(&given), "65534\n65533\n65533\n");
    let only_user = [&["-u65534"], &words[..]].concat();
    assert!(answer(&only_user).starts_with("65534\n0\n"));

    let by_variables = [&["-U"], &words[..]].concat();
    let mut command = ours(&by_variables);
    command.env("UID", "65532").env("GID", "65531");
    let mut server = start(command);
    assert_eq!(server.client().finish(), b"65532\n65531\n65531\n");
    server.end();
}

#[test]
fn small_writes_are_delayed_unless_asked() {
    for (flag, value) in [("-d", "0"), ("-D", "1")] {
        let script = "import socket; s = socket.socket(fileno=0); \
                      print(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), flush=True)";
        let words = ["-1RHl0", flag, "127.0.0.1", "0", "python3", "-c", script];
        if crate::session::lacks("python3", "small_writes_are_delayed_unless_asked") {
            return;
        }
        assert_eq!(answer(&words), format!("{value}\n"));
    }
}

#[test]
fn a_program_that_is_gone_drops_the_connection_with_a_warning() {
    let dir = crate::support::place::dir();
    let path = dir.path().join("program");
    std::fs::copy("/bin/cat", &path).expect("a program");
    let program = path.to_str().expect("text");
    let mut server = start(ours(&["-1vRHl0", "127.0.0.1", "0", program]));
    assert_eq!(server.client().send(b"hello"), b"hello");
    std::fs::remove_file(&path).expect("the program");
    assert_eq!(server.client().finish(), b"");
    server.wait_for(&format!(
        "tcpserver: warning: dropping connection, unable to run {program}: file does not exist"
    ));
    let end = server.wait_for("tcpserver: end ");
    assert!(end.ends_with(" status 28416"), "{end}");
    server.end();
}
