//! Programs that cannot be started, and bad usage.

use std::fs;
use std::net::TcpListener;

use crate::common::{halves, output_of, run};
use crate::support::place;

/// Asserts that it ends with this code and one line a complaint.
fn refused(args: &[&str], code: i32, lines: &[&str]) {
    let output = run(args);
    let message = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(code), "{args:?}: {message}");
    assert_eq!(message.lines().collect::<Vec<_>>(), lines, "{args:?}");
}

#[test]
fn a_program_that_cannot_be_run_is_exit_1_before_a_listener_opens() {
    let dir = place::dir();
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(path("plain"), "").expect("a file");
    // Its address is in use: the program is checked first.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    for (program, problem) in [
        ("no-such-program", "not found in PATH"),
        (&path("missing"), "No such file or directory (os error 2)"),
        (&path("plain"), "Permission denied (os error 13)"),
    ] {
        let line = format!("halves: exec: {program}: {problem}");
        refused(&["exec", "--listen", &taken, program, "--bad"], 1, &[&line]);
    }
    let output = run(&["exec", "--log=json", "no-such-program"]);
    let message = String::from_utf8(output.stderr).expect("text");
    let end = "\"event\":\"failed\",\"error\":\"exec: no-such-program: not found in PATH\"}\n";
    assert!(message.ends_with(end), "{message}");
}

#[test]
fn bad_usage_names_the_help_of_exec() {
    let help = "halves: run 'halves exec --help' for the options";
    for (args, problem) in [
        (
            &["exec"][..],
            "halves: no program given; write halves exec PROGRAM [ARGS...]",
        ),
        (
            &["exec", "-v", "--"],
            "halves: no program given; write halves exec PROGRAM [ARGS...]",
        ),
        (
            &["exec", "--lisen=7", "cat"],
            "halves: unknown option '--lisen'; did you mean '--listen'?",
        ),
        (
            &["exec", "--close-word=x", "cat"],
            "halves: unknown option '--close-word'",
        ),
    ] {
        refused(args, 2, &[problem, help]);
    }
}

#[test]
fn the_words_after_the_program_are_not_options() {
    for words in [
        &[
            "exec",
            "--listen",
            "-",
            "echo",
            "-n",
            "--help",
            "--listen=7",
            "--",
            "-V",
        ][..],
        &[
            "exec",
            "--listen",
            "-",
            "--",
            "echo",
            "-n",
            "--help",
            "--listen=7",
            "--",
            "-V",
        ],
    ] {
        let output = output_of(&mut halves(words));
        assert_eq!(output.stdout, b"--help --listen=7 -- -V");
    }
}
