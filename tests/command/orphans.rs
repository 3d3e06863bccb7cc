//! The command as process 1 of a container.

use std::fs;
use std::process::Command;

use crate::common::Halves;
use crate::support::namespace::{as_process_1, processes, wait_until};
use crate::support::place;
use crate::support::skip::skip;

fn children(parent: u32) -> Vec<u32> {
    let processes = processes().into_iter();
    let children = processes.filter(|process| process.3 == parent);
    children.map(|(pid, ..)| pid).collect()
}

#[test]
fn nothing_is_left_of_orphans() {
    is_reaped("nothing_is_left_of_orphans", "setsid", "");
}

#[test]
fn nothing_is_left_of_orphans_in_our_group() {
    is_reaped("nothing_is_left_of_orphans_in_our_group", "", "");
}

#[test]
fn nothing_is_left_of_orphans_with_a_blocked_sigchld() {
    let name = "nothing_is_left_of_orphans_with_a_blocked_sigchld";
    let blocking = "env --block-signal=CHLD";
    let tried = Command::new("sh")
        .args(["-c", &format!("{blocking} true")])
        .output();
    if !tried.is_ok_and(|output| output.status.success()) {
        return skip(name, "this env blocks no signals");
    }
    is_reaped(name, "setsid", blocking);
}

/// A child that a shell leaves behind when it becomes the server is reaped, however both are
/// started.
fn is_reaped(name: &str, child: &str, server: &str) {
    let Some(mut unshare) = as_process_1("sh") else {
        return skip(name, "no namespace of our own is allowed");
    };
    let dir = place::dir();
    let fifo = dir.path().join("fifo");
    // An orphan that waits for input.
    let script = format!(
        "mkfifo \"$1\" && ({child} sh -c 'read word < \"$0\"' \"$1\" &)
        exec {server} \"$0\" serve echo --listen 127.0.0.1:0"
    );
    unshare.args(["-c", &script, env!("CARGO_BIN_EXE_halves")]);
    let mut server = Halves::start(unshare.arg(&fifo));
    server.wait_for("listening");
    let halves = children(server.child().id());
    assert_eq!(halves.len(), 1, "unshare has one child");
    wait_until("it is our orphan", || children(halves[0]).len() == 1);
    fs::write(&fifo, "word\n").expect("it reads");
    wait_until("it is gone", || children(halves[0]).is_empty());
}
