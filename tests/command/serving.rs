//! Services, on addresses and on standard input and output.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::thread;

use rustix::process::Signal;

use crate::common::{Client, Halves, halves, serve};
use crate::support::place;
use crate::support::skip::skip;

#[test]
fn without_arguments_it_serves_upper_on_port_50007() {
    let mut server = Halves::start(&mut halves(&[]));
    let line = server.wait_for("");
    if line.starts_with("halves: cannot listen on 127.0.0.1:50007") {
        return skip(
            "without_arguments_it_serves_upper_on_port_50007",
            "port 50007 is in use",
        );
    }
    assert_eq!(line, "listening local=127.0.0.1:50007 service=upper");
    server.at = vec![([127, 0, 0, 1], 50007).into()];
    assert_eq!(server.client().ask("hello, World"), "HELLO, WORLD");
}

#[test]
fn the_hint_can_be_pasted_into_a_shell() {
    for (service, answer) in [("upper", "HELLO\n"), ("echo", "hello\n"), ("discard", "")] {
        let mut server = serve(&[service]);
        let hint = server.wait_for("  bash -c");
        let output = match Command::new("sh").args(["-c", &hint]).output() {
            Ok(output) if output.status.code() != Some(127) => output,
            _ => return skip("the_hint_can_be_pasted_into_a_shell", "there is no bash"),
        };
        assert_eq!(String::from_utf8_lossy(&output.stdout), answer);
        assert!(output.status.success(), "{output:?}");
        server.wait_for("closed conn=1 ");
    }
}

#[test]
fn the_hint_for_all_interfaces_is_on_this_machine() {
    for listen in ["0.0.0.0:0", "[::]:0", ":0"] {
        let mut server = Halves::start(&mut halves(&["serve", "upper", "--listen", listen]));
        server.wait_until_listening(1);
        let port = server.at[0].port();
        let hint = server.wait_for("  bash -c");
        assert!(
            hint.contains(&format!("/dev/tcp/127.0.0.1/{port}")),
            "{hint}"
        );
        let mut client = Client::new(([127, 0, 0, 1], port).into());
        assert_eq!(client.ask("four"), "FOUR");
    }
}

#[test]
fn every_service_answers() {
    for (service, answer) in [("upper", "HELLO"), ("echo", "hello")] {
        assert_eq!(serve(&[service]).client().ask("hello"), answer);
    }
    let mut server = serve(&["discard"]);
    let mut client = server.client();
    client.0.write_all(b"hello").expect("it reads");
    assert_eq!(client.finish(), b"");
    let closed = server.wait_for("closed conn=1 ");
    assert!(closed.contains("reason=eof in=5 out=0"), "{closed}");
}

#[test]
fn a_close_word_closes() {
    let mut server = serve(&["upper", "--close-word", "close"]);
    let mut client = server.client();
    assert_eq!(client.ask("not close"), "NOT CLOSE");
    client.0.write_all(b"close").expect("it reads");
    let mut rest = Vec::new();
    client.0.read_to_end(&mut rest).expect("it closes");
    assert!(rest.is_empty());
    drop(client);
    assert!(
        server
            .wait_for("closed")
            .contains("reason=handler in=14 out=9")
    );
}

#[test]
fn several_addresses_and_threads_serve_alike() {
    let args = [
        "serve",
        "upper",
        "--threads",
        "2",
        "--listen",
        "127.0.0.1:0",
        "--listen=127.0.0.2:0",
        "--listen",
        "127.0.0.1:0",
    ];
    let mut server = Halves::start(&mut halves(&args));
    server.wait_until_listening(3);
    let mut clients: Vec<_> = server.at.iter().map(|&at| Client::new(at)).collect();
    for client in &mut clients {
        assert_eq!(client.ask("hello"), "HELLO");
    }
    drop(clients);
    server.signal(Signal::INT);
    assert_eq!(server.code(), Some(0));
    assert_eq!(server.count("closed"), 3);
}

#[test]
fn several_threads_serve_as_one_does() {
    let mut server = Halves::start(&mut halves(&[
        "serve",
        "upper",
        "--listen=127.0.0.1:0",
        "--threads=3",
    ]));
    server.wait_until_listening(1);
    let mut clients = [server.client(), server.client(), server.client()];
    for n in 0..300 {
        assert_eq!(clients[n % 3].ask("hello"), "HELLO");
    }
    drop(clients);
    server.signal(Signal::INT);
    assert_eq!(server.code(), Some(0));
}

#[test]
fn standard_input_and_output_are_one_connection() {
    let mut server = stdio(Stdio::piped());
    let mut input = server.child().stdin.take().expect("a pipe");
    let mut output = server.child().stdout.take().expect("a pipe");
    let sent = "hello ".repeat(200_000);
    let text = sent.clone();
    let writer = thread::spawn(move || input.write_all(text.as_bytes()));
    let mut answer = String::new();
    output.read_to_string(&mut answer).expect("text");
    assert!(answer == sent.to_uppercase(), "{} bytes", answer.len());
    writer.join().expect("no panic").expect("it reads");
    assert_eq!(server.code(), Some(0));
    assert_eq!(
        server.log.last().expect("an end"),
        "ended finished=1 aborted=0"
    );
    assert_eq!(server.count("  bash"), 0);
}

#[test]
fn standard_streams_made_non_blocking_are_waited_for() {
    let (input, mut to) = io::pipe().expect("a pipe");
    let (mut from, output) = io::pipe().expect("a pipe");
    for end in [input.as_fd(), output.as_fd()] {
        rustix::io::ioctl_fionbio(end, true).expect("it is a pipe");
    }
    let mut command = halves(&["serve", "upper", "--listen", "-"]);
    let mut server = Halves::start(command.stdin(input).stdout(output));
    drop(command);
    // It finds its input empty, and then its output full.
    server.wait_for("serving local=stdio");
    let sent = "hello ".repeat(200_000);
    let text = sent.clone();
    let writer = thread::spawn(move || to.write_all(text.as_bytes()));
    let mut answer = String::new();
    from.read_to_string(&mut answer).expect("text");
    assert!(answer == sent.to_uppercase(), "{} bytes", answer.len());
    writer.join().expect("no panic").expect("it reads");
    assert_eq!(server.code(), Some(0));
}

#[test]
fn an_idle_standard_input_does_not_hold_the_end() {
    let mut server = stdio(Stdio::null());
    server.wait_for("serving local=stdio");
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(0));
    assert!(server.has_logged("reason=drained"), "{:#?}", server.log);
}

#[test]
fn no_space_left_on_standard_output_is_exit_1() {
    for length in [5, 1_000_000] {
        let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else {
            return skip(
                "no_space_left_on_standard_output_is_exit_1",
                "there is no /dev/full",
            );
        };
        let mut server = stdio(full.into());
        let mut input = server.child().stdin.take().expect("a pipe");
        // It may end before it has read all of this.
        let _ = input.write_all(&vec![b'a'; length]);
        drop(input);
        assert_eq!(server.code(), Some(1));
        let closed = server.log.iter().find(|line| line.starts_with("closed"));
        assert!(
            closed.expect("a line").contains("reason=error"),
            "{closed:?}"
        );
    }
}

#[test]
fn files_can_be_standard_input_and_output() {
    let dir = place::dir();
    let (request, reply) = (dir.path().join("request"), dir.path().join("reply"));
    std::fs::write(&request, "hello").expect("a file");
    let status = halves(&["serve", "upper", "--listen", "stdio", "-q"])
        .stdin(File::open(&request).expect("a file"))
        .stdout(File::create(&reply).expect("a file"))
        .status()
        .expect("it starts");
    assert_eq!(status.code(), Some(0));
    assert_eq!(std::fs::read(&reply).expect("a file"), b"HELLO");
}

#[test]
fn standard_input_without_its_header_is_a_failure() {
    let mut command = halves(&["serve", "upper", "--listen", "-"]);
    command.args(["--proxy-protocol", "v1", "--trust-proxy", "10.0.0.0/8"]);
    let mut server = Halves::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut input = server.child().stdin.take().expect("a pipe");
    input.write_all(b"hello").expect("it reads");
    drop(input);
    assert_eq!(server.code(), Some(1));
}

fn stdio(output: Stdio) -> Halves {
    let mut command = halves(&["serve", "upper", "--listen", "-"]);
    Halves::start(command.stdin(Stdio::piped()).stdout(output))
}
