//! `halves man`: the manual page, in the formatters.

use std::fs;
use std::process::Command;

use crate::common::{has, run, run_to_end};
use crate::completions::options;
use crate::support::place;
use crate::support::skip::skip;

const COMMANDS: [&str; 9] = [
    "serve",
    "exec",
    "proxy",
    "connect",
    "check",
    "ctl",
    "replay",
    "completions",
    "man",
];

fn page() -> Vec<u8> {
    let output = run(&["man"]);
    assert_eq!(output.status.code(), Some(0));
    output.stdout
}

#[test]
fn the_page_has_every_command_and_option() {
    let page = String::from_utf8(page()).expect("text");
    for command in COMMANDS {
        assert!(
            page.contains(&format!(".SH \"HALVES {}\"", command.to_uppercase())),
            "{command}"
        );
        for option in options(command) {
            let entry = format!("\\fB{}\\fR", option.replace('-', "\\-"));
            assert!(page.contains(&entry), "{command} {option}");
        }
    }
    for text in [
        "chargen",
        "\\-\\-version",
        "Exit codes",
        "unix:PATH",
        "halves serve upper",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_checker_of_pages_has_no_complaint() {
    if !has("mandoc") {
        skip("a_checker_of_pages_has_no_complaint", "there is no mandoc");
        return;
    }
    let dir = place::dir();
    let path = dir.path().join("halves.1");
    fs::write(&path, page()).expect("a file");
    let mut mandoc = Command::new("mandoc");
    let output = run_to_end(mandoc.args(["-T", "lint", "-W", "warning"]).arg(&path));
    let complaints = String::from_utf8(output.stdout).expect("text");
    // A date would make the page of each build another one.
    let others = complaints
        .lines()
        .filter(|line| !line.contains("missing date"));
    assert_eq!(others.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn the_page_is_rendered() {
    if !has("man") {
        skip("the_page_is_rendered", "there is no man");
        return;
    }
    let dir = place::dir();
    let path = dir.path().join("halves.1");
    fs::write(&path, page()).expect("a file");
    let mut man = Command::new("man");
    man.args(["--warnings", "-l", "-P", "cat"]).arg(&path);
    let output = run_to_end(man.env("MANWIDTH", "100").env("LC_ALL", "C"));
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let text = String::from_utf8(output.stdout).expect("text");
    for line in [
        "HALVES(1)",
        "       halves - serve any byte stream",
        "       halves exec [OPTIONS] PROGRAM [ARGS...]",
        "       --listen ADDRESS",
        "       -v, --verbose",
        "       /PATH, ./PATH, unix:PATH, @NAME",
        "       halves exec --listen :7 cat",
    ] {
        assert!(
            text.lines().any(|it| it.starts_with(line)),
            "{line}: {text}"
        );
    }
}
