//! Readiness on an inherited descriptor.

use std::io::Read;
use std::process::Stdio;

use rustix::process::Signal;

use crate::common::{Client, Halves, free_port, halves_after, run_to_end, with_port};

#[test]
fn one_empty_line_is_written_once_every_listener_is_open() {
    let ports = [free_port(), free_port()];
    let listen = ports.map(|port| format!("127.0.0.1:{port}"));
    let mut args = vec!["serve", "upper", "--ready-fd", "3"];
    args.extend(listen.iter().flat_map(|at| ["--listen", at]));
    let mut command = halves_after("exec 3>&1 1>/dev/null", &args);
    let mut server = Halves::start(command.stdout(Stdio::piped()));
    let mut written = Vec::new();
    let mut ready = server.child().stdout.take().expect("a pipe");
    // The end of the pipe comes while the server still serves.
    ready.read_to_end(&mut written).expect("a pipe");
    assert_eq!(written, b"\n");
    for port in ports {
        let mut client = Client::new(([127, 0, 0, 1], port).into());
        assert_eq!(client.ask("here"), "HERE");
    }
    server.end();
}

#[test]
fn without_a_listener_it_is_not_ready() {
    let args = ["serve", "upper", "--ready-fd=3", "--listen=192.0.2.1:7"];
    let mut command = halves_after("exec 3>&1 1>/dev/null", &args);
    let output = run_to_end(&mut command);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
}

#[test]
fn a_descriptor_that_is_not_there_or_not_for_writing_is_exit_1() {
    for (shell, fd, problem) in [
        ("exec 9>&-", "9", "it is not open"),
        ("exec 3>&-", "3", "it is not open"),
        ("exec 3</dev/null", "3", "it is not open for writing"),
        ("true", "2147483647", "it is not open"),
    ] {
        let args = with_port(&["upper", "--ready-fd", fd]);
        let output = run_to_end(&mut halves_after(shell, &args));
        let message = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert_eq!(message, format!("halves: --ready-fd {fd}: {problem}\n"));
    }
}

#[test]
fn it_serves_when_the_reader_of_its_readiness_is_gone() {
    let args = with_port(&["upper", "--ready-fd", "3"]);
    let mut server = Halves::start(&mut halves_after("exec 3>/dev/full", &args));
    server.wait_until_listening(1);
    server.wait_for("ready_failed error=\"No space left");
    assert_eq!(server.client().ask("here"), "HERE");
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(0));
}
