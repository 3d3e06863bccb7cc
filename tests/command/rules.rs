//! Rules for clients, and changes of them while the command serves.

use std::fs;

use rustix::process::Signal;

use crate::common::{Client, Halves, run, serve};
use crate::support::place;

fn admits(server: &Halves, source: [u8; 4]) -> bool {
    let mut client = Client::from_source(source, server.at[0]);
    // A refused connection may be closed before this is written.
    let asked = std::io::Write::write_all(&mut client.0, b"here");
    let mut answer = [0; 4];
    let answered = std::io::Read::read_exact(&mut client.0, &mut answer);
    asked.is_ok() && answered.is_ok() && answer == *b"HERE"
}

#[test]
fn the_arguments_allow_and_deny_networks() {
    let rules = [
        "--allow=127.0.0.0/24",
        "--allow=127.5.0.1",
        "--deny=127.0.0.6",
    ];
    let mut server = serve(&[&["upper"], &rules[..]].concat());
    for (source, admitted) in [
        ([127, 0, 0, 2], true),
        ([127, 0, 0, 6], false),
        ([127, 0, 1, 2], false),
        ([127, 5, 0, 1], true),
        ([127, 5, 0, 2], false),
    ] {
        assert_eq!(admits(&server, source), admitted, "{source:?}");
        if !admitted {
            let refused = server.wait_for("refused");
            assert!(refused.ends_with(" reason=denied"), "{refused}");
        }
    }
    server.end();
    assert_eq!(server.count("refused"), 3);
}

#[test]
fn a_hangup_reads_the_files_again() {
    let dir = place::dir();
    let file = dir.path().join("deny");
    fs::write(&file, "127.0.0.2\n").expect("a file");
    let given = format!("--deny=@{}", file.display());
    let mut server = serve(&["upper", "--deny", "127.0.0.9", &given]);
    let check = |server: &Halves, denied: [u8; 2]| {
        for last in [2, 3, 4, 9] {
            let admitted = !denied.contains(&last) && last != 9;
            assert_eq!(admits(server, [127, 0, 0, last]), admitted, "{last}");
        }
    };
    check(&server, [2, 2]);
    let mut early = Client::from_source([127, 0, 0, 3], server.at[0]);
    early.ask("here");

    fs::write(&file, "# new\n127.0.0.3\n\n127.0.0.4 # too\n").expect("a file");
    server.signal(Signal::HUP);
    assert_eq!(server.wait_for("reload"), "reloaded rules=3");
    check(&server, [3, 4]);
    assert_eq!(early.ask("still here"), "STILL HERE");

    fs::write(&file, "127.0.0.2\n\n127.0.0.300\n").expect("a file");
    server.signal(Signal::HUP);
    let line = server.wait_for("reload");
    let error = "error=\"bad network '127.0.0.300': ";
    let beginning = format!("reload_failed file={} line=3 {error}", file.display());
    assert!(line.starts_with(&beginning), "{line}");
    assert!(line.ends_with(" (nothing is changed)"), "{line}");
    check(&server, [3, 4]);

    fs::remove_file(&file).expect("it is there");
    server.signal(Signal::HUP);
    let line = server.wait_for("reload");
    let beginning = format!("reload_failed file={} error=\"No such", file.display());
    assert!(line.starts_with(&beginning), "{line}");
    check(&server, [3, 4]);

    // A file that is being written may be empty.
    for text in ["", "# 127.0.0.3\n"] {
        fs::write(&file, text).expect("a file");
        server.signal(Signal::HUP);
        let line = server.wait_for("reload");
        let beginning = format!("reload_failed file={} error=\"no net", file.display());
        assert!(line.starts_with(&beginning), "{line}");
        check(&server, [3, 4]);
    }

    fs::write(&file, "127.0.0.2").expect("a file");
    server.signal(Signal::HUP);
    assert_eq!(server.wait_for("reload"), "reloaded rules=2");
    check(&server, [2, 2]);
    drop(early);
    server.end();
}

#[test]
fn an_empty_allow_file_allows_no_client() {
    let dir = place::dir();
    let file = dir.path().join("allow");
    fs::write(&file, "127.0.0.2\n").expect("a file");
    let given = format!("@{}", file.display());
    let mut server = serve(&["upper", "--allow", &given]);
    fs::write(&file, "").expect("a file");
    server.signal(Signal::HUP);
    server.wait_for("reload_failed ");
    assert!(admits(&server, [127, 0, 0, 2]));
    assert!(!admits(&server, [127, 0, 0, 3]));
}

#[test]
fn a_bad_file_at_the_start_is_exit_1_and_named_with_its_line() {
    let dir = place::dir();
    let file = dir.path().join("rules");
    for (text, problem) in [
        (Some("::1\n1.2.3\n"), ":2: bad network '1.2.3': write"),
        (Some("10.0.0.1/8"), ":1: bad network '10.0.0.1/8': the"),
        (Some("# nobody"), ": no network"),
        (None, ": No such file"),
    ] {
        match text {
            Some(text) => fs::write(&file, text),
            None => fs::remove_file(&file),
        }
        .expect("a file");
        let given = format!("@{}", file.display());
        let output = run(&["serve", "upper", "--listen=127.0.0.1:0", "--allow", &given]);
        let message = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{message}");
        let beginning = format!("halves: {}{problem}", file.display());
        assert!(message.starts_with(&beginning), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}
