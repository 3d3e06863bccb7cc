//! The rules of the architecture: no arrow that goes up, no clock outside `time`, no socket in a
//! service, no `unsafe` outside a few files, no long file or function, no foreign runtime beneath
//! the library. A test of each rule shows that it finds a violation.

mod architecture;
mod paths;
mod rules;
mod source;
#[path = "../support/mod.rs"]
mod support;

use std::process::Command;

use rules::{
    LONGEST_FILE, LONGEST_FUNCTION, arrows, child_signals, clocks, leftovers, lengths, opening,
    sockets, threads, unsafety,
};
use source::Source;

use crate::support::skip::skip;

type Rule = fn(&Source) -> Vec<String>;

#[test]
fn arrows_go_down_only() {
    holds(&Source::all("src"), arrows);
}

#[test]
fn an_arrow_that_goes_up_is_seen() {
    for (path, text) in [
        ("src/connection/reader.rs", "use crate::server::Server;"),
        (
            "src/connection/reader.rs",
            "use crate::{time::Sleep, service::{upper, echo}};",
        ),
        (
            "src/connection/mod.rs",
            "fn f() -> Option<crate::listener::Once<u8, u8>> { None }",
        ),
        ("src/connection/mod.rs", "use super::executor::Executor;"),
        ("src/server/state/mod.rs", "use super::super::cli;"),
        ("src/server/state.rs", "use super::super::cli;"),
        ("src/listener/tls.rs", "use crate::timeout;"),
        ("src/error.rs", "use crate::address::Address;"),
        ("src/duration.rs", "use crate::waker_slot::WakerSlot;"),
        ("src/server/mod.rs", "use crate::Listener;"),
        ("src/time/mod.rs", "use crate::Shutdown;"),
        ("src/time/mod.rs", "use crate::*;"),
        ("src/time/mod.rs", "use crate as halves;"),
        ("src/fresh.rs", "use crate::time;"),
    ] {
        breaks(path, text, arrows);
    }
    for (path, text) in [
        (
            "src/server/mod.rs",
            "use crate::{connection::{Context, Record}, time::Clock};",
        ),
        (
            "src/server/state.rs",
            "use super::event::{Closed, Event}; use crate::stats;",
        ),
        (
            "src/connection/reader.rs",
            "// crate::server\n/// [`Server`](crate::Server)\nfn f() {}",
        ),
        (
            "src/connection/reader.rs",
            "pub(crate) struct S; pub(super) fn f() { g(\"crate::server\") }",
        ),
        ("src/address.rs", "use crate::error::Error;"),
        ("src/cli/serve.rs", "use halves::{Server, server::serve};"),
        ("src/main.rs", "mod cli; fn main() { crate::cli::run() }"),
    ] {
        keeps(path, text, arrows);
    }
}

#[test]
fn services_name_halves_only() {
    holds(&Source::all("src"), sockets);
}

#[test]
fn a_service_that_names_what_is_beneath_is_seen() {
    let service = "src/service/echo.rs";
    breaks(service, "use async_net::TcpStream;", sockets);
    breaks(
        service,
        "fn f(l: impl crate::listener::Listener) {}",
        sockets,
    );
    breaks(service, "use std::net::IpAddr;", sockets);
    keeps(
        service,
        "//! Not for TcpStream.\nuse crate::connection::{Reader, Writer};",
        sockets,
    );
    keeps("src/listener/tcp.rs", "use async_net::TcpStream;", sockets);
}

#[test]
fn only_time_reads_a_clock_or_sleeps() {
    holds(&Source::all("src"), clocks);
}

#[test]
fn a_clock_elsewhere_is_seen() {
    for text in [
        "let t = Instant::now();",
        "let t = std::time::SystemTime::now();",
        "use smol::Timer;",
        "std::thread::sleep(d);",
        "started.elapsed()",
    ] {
        breaks("src/server/drain.rs", text, clocks);
        keeps("src/time/mod.rs", text, clocks);
        keeps(
            "src/server/drain.rs",
            &format!("// {text}\nlet s = \"{text}\";"),
            clocks,
        );
    }
    keeps(
        "src/server/drain.rs",
        "let now = clock.now(); let t: Instant;",
        clocks,
    );
}

#[test]
fn threads_are_started_in_few_places() {
    holds(&Source::all("src"), threads);
}

#[test]
fn a_thread_elsewhere_is_seen() {
    for text in [
        "std::thread::spawn(f)",
        "thread::Builder::new().spawn(f)",
        "use std::thread::Builder;",
    ] {
        breaks("src/server/accept.rs", text, threads);
        keeps("src/executor/native/group/mod.rs", text, threads);
        keeps("src/server/tests/mod.rs", text, threads);
    }
    keeps(
        "src/server/accept.rs",
        "spawn(f); thread::scope(f)",
        threads,
    );
}

#[test]
fn sigchld_is_caught_for_orphans_only() {
    holds(&Source::all("src"), child_signals);
}

#[test]
fn sigchld_caught_elsewhere_is_seen() {
    let text = "Signals::catch(&[Signal::Child])";
    breaks("src/process/child.rs", text, child_signals);
    keeps("src/process/orphans.rs", text, child_signals);
}

#[test]
fn unsafe_stays_where_it_is_allowed() {
    holds(&Source::all("src"), unsafety);
}

#[test]
fn unsafe_elsewhere_is_seen() {
    let block = "fn f() { unsafe { g() } }";
    breaks("src/server/mod.rs", block, unsafety);
    breaks("src/listener/tcp.rs", "unsafe impl Send for S {}", unsafety);
    keeps("src/reactor/epoll.rs", block, unsafety);
    breaks("src/cli/serve.rs", block, unsafety);
    keeps("src/listener/inherited.rs", block, unsafety);
    keeps("src/cli/inherited.rs", block, unsafety);
    keeps("src/process/before_exec.rs", block, unsafety);
    breaks("src/process/command.rs", block, unsafety);
    keeps(
        "src/lib.rs",
        "#![deny(unsafe_code)] // unsafe\nconst S: &str = r#\"\"unsafe\"#;",
        unsafety,
    );
}

#[test]
fn files_and_functions_are_short() {
    holds(&Source::all("src"), lengths);
    holds(&Source::all("tests"), lengths);
}

#[test]
fn files_and_functions_that_are_too_long_are_reported() {
    let lines = |n| "    g();\n".repeat(n);
    let function = |n| format!("fn f(\n    a: [u8; 4],\n) {{\n{}}}\n", lines(n));
    keeps("src/a.rs", &function(LONGEST_FUNCTION - 4), lengths);
    breaks("src/a.rs", &function(LONGEST_FUNCTION - 3), lengths);
    let macros = format!(
        "pin_project! {{ impl X {{ fn drop() {{\n{}}} }} }}",
        lines(LONGEST_FUNCTION)
    );
    breaks("src/a.rs", &macros, lengths);
    let declared = format!(
        "trait T {{ fn f(f: fn()); const S: char = '{{'; }}\nconst C: u8 = {{\n{}0 }};",
        lines(70)
    );
    keeps("src/a.rs", &declared, lengths);
    keeps("src/a.rs", &"//\n".repeat(LONGEST_FILE), lengths);
    breaks("src/a.rs", &"//\n".repeat(LONGEST_FILE + 1), lengths);
}

#[test]
fn each_file_begins_with_its_purpose() {
    holds(&Source::all("src"), opening);
    holds(&Source::all("tests"), opening);
}

#[test]
fn a_file_without_a_purpose_is_reported() {
    breaks("src/a.rs", "use std::io;\n//! Late.", opening);
    breaks("src/a.rs", "//!\nuse std::io;", opening);
    breaks("src/a.rs", "", opening);
    keeps("src/a.rs", "//! Early.\nuse std::io;", opening);
}

#[test]
fn nothing_is_left_for_later() {
    holds(&Source::all("src"), leftovers);
}

#[test]
fn marks_of_unfinished_work_are_reported() {
    for text in [
        "// TODO: more",
        "/* FIXME */",
        "// see ../shared/NOTES.md",
        "fn f() { todo!() }",
    ] {
        breaks("src/a.rs", text, leftovers);
    }
    keeps("src/a.rs", "// Shared by all; a hacksaw.", leftovers);
}

#[test]
fn beneath_the_library_there_is_no_other_runtime() {
    let Ok(cargo) = std::env::var("CARGO") else {
        skip(
            "beneath_the_library_there_is_no_other_runtime",
            "no CARGO in the environment",
        );
        return;
    };
    // All features but the one that adds the runtime of its name.
    for features in [&["--no-default-features"][..], &["--features", "cli"]] {
        let tree = tree(&cargo, features);
        assert!(
            tree.contains("\nasync-executor v"),
            "this is a tree of the library:\n{tree}"
        );
        assert_eq!(foreign_runtimes(&tree), [""; 0]);
    }
    assert_eq!(
        foreign_runtimes(&tree(&cargo, &["--all-features"])),
        ["tokio"]
    );
}

/// The packages beneath the library, by `cargo tree`.
fn tree(cargo: &str, features: &[&str]) -> String {
    let output = Command::new(cargo)
        .args(["tree", "--offline", "-e", "normal", "--prefix", "none"])
        .args(features)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn another_runtime_is_seen() {
    let tree = "halves v0.1.0\nasync-std v1.13.2\ntokio v1.54.1 (*)\ntokio-util v0.7.0\nasync-stdio v1.0.0\n";
    assert_eq!(foreign_runtimes(tree), ["async-std", "tokio", "tokio-util"]);
}

/// The runtimes among the packages of a `cargo tree`.
fn foreign_runtimes(tree: &str) -> Vec<&str> {
    tree.lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| *name == "async-std" || *name == "tokio" || name.starts_with("tokio-"))
        .collect()
}

fn holds(sources: &[Source], rule: Rule) {
    assert!(!sources.is_empty());
    let complaints: Vec<_> = sources.iter().flat_map(rule).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[track_caller]
fn breaks(path: &str, text: &str, rule: Rule) {
    let complaints = rule(&Source::new(path, text));
    assert!(!complaints.is_empty(), "no complaint of {path}:\n{text}");
}

#[track_caller]
fn keeps(path: &str, text: &str, rule: Rule) {
    let complaints = rule(&Source::new(path, text));
    assert!(complaints.is_empty(), "{complaints:?}:\n{text}");
}
