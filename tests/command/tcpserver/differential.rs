//! The same words for tcpserver itself and for ours.

use std::process::Command;

use rustix::process::Signal;

use super::{ours, start};
use crate::common::{Client, has, output_of};
use crate::session::lacks;

/// The program tcpserver.
fn theirs(words: &[&str]) -> Command {
    let mut command = Command::new("tcpserver");
    command.args(words);
    command
}

/// The messages of a server, and the answers to its clients.
#[derive(Debug, PartialEq, Eq)]
struct Transcript {
    messages: Vec<String>,
    answers: Vec<String>,
    code: Option<i32>,
}

/// Serves one client after another, then ends the server with TERM. If the flags ask for status
/// lines, waits for those of each client.
fn transcript(command: Command, has_status: bool, requests: &[&[u8]]) -> Transcript {
    let mut server = start(command);
    let mut replaced = vec![(format!(":{}", server.at[0].port()), ":LOCAL".to_owned())];
    let mut answers = Vec::new();
    for request in requests {
        let client = server.client();
        let port = client.0.local_addr().expect("an address").port();
        replaced.push((format!(":{port}"), ":REMOTE".to_owned()));
        let answer = client.send(request);
        answers.push(String::from_utf8(answer).expect("text"));
        if has_status {
            server.wait_for("tcpserver: end ");
            server.wait_for("tcpserver: status: 0/");
        }
    }
    server.signal(Signal::TERM);
    let code = server.code();
    let ids = server.log.iter().filter_map(|line| {
        let (_, rest) = line.split_once("tcpserver: pid ")?;
        Some((format!(" {}", rest.split(' ').next()?), " PID".to_owned()))
    });
    replaced.extend(ids.collect::<Vec<_>>());
    let plain = |line: &String| {
        replaced
            .iter()
            .fold(line.clone(), |line, (from, to)| line.replace(from, to))
    };
    Transcript {
        messages: server.log.iter().map(plain).collect(),
        answers,
        code,
    }
}

fn is_same(words: &[&str], has_status: bool, requests: &[&[u8]]) {
    let [theirs, ours] =
        [theirs(words), ours(words)].map(|command| transcript(command, has_status, requests));
    assert_eq!(theirs, ours, "{words:?}");
}

#[test]
fn messages_and_answers_are_those_of_tcpserver() {
    let name = "messages_and_answers_are_those_of_tcpserver";
    if lacks("tcpserver", name) {
        return;
    }
    // A program that exits with its input unread resets the connection under tcpserver.
    for (flags, program) in [
        (&["-1vRHl0"][..], &["cat"][..]),
        (&["-1", "-vRHlhere", "-c7"], &["cat"]),
        (&["-v1RH", "-l", "a b%:c"], &["cat"]),
        (&["-Rvq1", "-Hl0", "-B", "220 hello "], &["cat"]),
        (&["-1vRH", "-l=0", "-B=hi"], &["cat"]),
        (&["-1RQHl0", "-t5", "-b5", "-oODdPp"], &["cat"]),
        (&["-1vRHl0"], &["sh", "-c", "cat; exit 3"]),
        (&["-1vRHl0"], &["sh", "-c", "cat; kill -9 $$"]),
        (
            &["-1vRHl0"],
            &["sh", "-c", "cat; echo $TCPLOCALHOST $TCPREMOTEHOST"],
        ),
    ] {
        let words = [flags, &["127.0.0.1", "0"], program].concat();
        let has_status = !flags.iter().any(|flag| flag.contains(['q', 'Q']));
        is_same(&words, has_status, &[b"hello\n", b"again\n"]);
    }
    is_same(&["-1vRHl0", "0", "0", "cat"], true, &[b"hello\n"]);
}

#[test]
fn status_lines_of_several_children_are_those_of_tcpserver() {
    if lacks(
        "tcpserver",
        "status_lines_of_several_children_are_those_of_tcpserver",
    ) {
        return;
    }
    for command in [theirs, ours] {
        let mut server = start(command(&["-1vRHl0", "-c", "2", "127.0.0.1", "0", "cat"]));
        let mut first = server.client();
        assert_eq!(first.ask("first"), "first");
        let mut second = server.client();
        assert_eq!(second.ask("second"), "second");
        // The third waits.
        let third = server.client();
        drop(first);
        server.wait_for("tcpserver: end ");
        let third = Client::ask(&mut { third }, "third");
        assert_eq!(third, "third");
        drop(second);
        server.wait_for("tcpserver: status: 0/2");
        let status = server.log.iter().filter(|line| line.contains(" status: "));
        let status: Vec<_> = status
            .map(|line| &line["tcpserver: status: ".len()..])
            .collect();
        assert_eq!(
            status[..5],
            ["0/2", "1/2", "2/2", "1/2", "2/2"],
            "{status:?}"
        );
        server.signal(Signal::TERM);
        assert_eq!(server.code(), Some(0));
    }
}

#[test]
fn errors_and_exit_codes_are_those_of_tcpserver() {
    if !has("tcpserver") {
        lacks("tcpserver", "errors_and_exit_codes_are_those_of_tcpserver");
        return;
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").port().to_string();
    for words in [
        &[][..],
        &["127.0.0.1"],
        &["127.0.0.1", "0"],
        &["-Z", "127.0.0.1", "0", "cat"],
        &["-vc"],
        &["-v=1", "127.0.0.1", "0", "cat"],
        &["127.0.0.1", "-1", "cat"],
        &["127.0.0.1", "80x", "cat"],
        &["127.0.0.1", "no-such-service", "cat"],
        &["no-such.invalid", "0", "cat"],
        &["127.0.0.1", &taken, "cat"],
        &["192.0.2.1", "0", "cat"],
        &["-q", "192.0.2.1", "0", "cat"],
    ] {
        let [theirs, ours] =
            [theirs(words), ours(words)].map(|mut command| output_of(&mut command));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        assert_eq!(text(&ours.stderr), text(&theirs.stderr), "{words:?}");
        assert_eq!(ours.status.code(), theirs.status.code(), "{words:?}");
        assert_eq!(ours.stdout, theirs.stdout, "{words:?}");
    }
}
