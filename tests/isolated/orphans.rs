//! As process 1: orphans are reaped, and other children are not.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio, id};

use halves::{Executor, process};

use crate::support::namespace::{as_process_1, processes, wait_until};
use crate::support::skip::skip;

/// Set in the process that is process 1.
const INSIDE_VARIABLE: &str = "HALVES_TEST_INSIDE";

pub(crate) fn orphans_are_reaped_and_other_children_are_not() {
    let name = "orphans_are_reaped_and_other_children_are_not";
    if env::var_os(INSIDE_VARIABLE).is_some() {
        assert_eq!(id(), 1);
        return inside();
    }
    let Some(mut unshare) = as_process_1(env::current_exe().expect("a path")) else {
        return skip(name, "no namespace of our own is allowed");
    };
    let output = unshare.env(INSIDE_VARIABLE, "1").output();
    let output = output.expect("unshare");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
}

fn inside() {
    let ex = Executor::threads(2.try_into().expect("not 0"));
    ex.spawn(process::reap_orphans()).detach();

    let exiting = |code: &'static str| ["-c", code];
    // A child of the standard library, waited for later.
    let mut others = Command::new("sh");
    let mut others = others.args(exiting("exit 5")).spawn().expect("sh");
    // A child of this library, waited for later, too.
    let ours = process::Command::new("sh").args(exiting("exit 6"));
    let ours = ours.spawn().expect("sh");
    let both_wait = || state(others.id()) == Some('Z') && state(ours.id()) == Some('Z');
    wait_until("they exit", both_wait);
    for _ in 0..20 {
        let orphan = orphan();
        wait_until("the orphan is reaped", || state(orphan).is_none());
    }
    assert!(both_wait(), "they are still to be asked for");
    let status = ex.block_on(ours.wait()).expect("not stolen");
    assert_eq!(status.code(), Some(6));
    assert_eq!(others.wait().expect("not stolen").code(), Some(5));

    // A child with children that become orphans when it is killed. One of them is killed with it.
    let script = "sleep 1000 & setsid sleep 1000 & wait";
    let parent = process::Command::new("sh").args(exiting(script));
    let parent = parent.spawn().expect("sh");
    wait_until("both sleep", || sleeping() == 2);
    drop(parent);
    wait_until("nothing is left of one of them", || sleeping() == 1);
}

fn state(pid: u32) -> Option<char> {
    let mut processes = processes().into_iter();
    let found = processes.find(|process| process.0 == pid);
    found.map(|(_, _, state, _)| state)
}

fn sleeping() -> usize {
    let processes = processes().into_iter();
    processes.filter(|(_, name, ..)| name == "sleep").count()
}

/// The id of an orphan. A shell leaves it behind, in a group of its own, and it exits at once.
fn orphan() -> u32 {
    let mut sh = Command::new("sh");
    sh.args(["-c", "(setsid sh -c 'echo $$' &)"]);
    let mut sh = sh.stdout(Stdio::piped()).spawn().expect("sh");
    let mut line = String::new();
    let mut stderr = BufReader::new(sh.stdout.take().expect("a pipe"));
    stderr.read_line(&mut line).expect("a number");
    assert!(sh.wait().expect("our child").success());
    line.trim().parse().expect("a number")
}
