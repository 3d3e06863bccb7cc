//! The process of a program: descriptors, signals, limits, group.

use super::{args, sh};
use crate::common::{Halves, halves_after};

fn answer(script: &str) -> String {
    let mut server = sh(&[], script);
    let answer = String::from_utf8(server.client().rest()).expect("text");
    server.end();
    answer
}

#[test]
fn a_program_has_no_descriptors_of_the_server() {
    let shell = "exec 5</dev/null 7</dev/null";
    let args = args(&[], &["sh", "-c", "ls -l /proc/self/fd"]);
    let mut server = Halves::start(&mut halves_after(shell, &args));
    server.wait_until_listening(1);
    // Connections and children of others are open meanwhile.
    let others: Vec<_> = (0..3).map(|_| server.client()).collect();
    let answer = String::from_utf8(server.client().rest()).expect("text");
    let open: Vec<_> = answer
        .lines()
        .filter_map(|line| line.split_once(" -> "))
        .map(|(left, target)| (left.rsplit(' ').next().expect("a number"), target))
        .collect();
    let numbers: Vec<_> = open.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, ["0", "1", "2", "3"], "{answer}");
    assert!(open[0].1.starts_with("socket:["), "{answer}");
    assert_eq!(open[0].1, open[1].1, "{answer}");
    assert!(open[3].1.ends_with("/fd"), "{answer}");
    drop(others);
    server.end();
}

#[test]
fn a_program_has_the_standard_error_of_the_server() {
    let mut server = sh(&[], "echo a problem >&2; [ -e /proc/self/fd/2 ]");
    assert!(server.client().rest().is_empty());
    server.wait_for("a problem");
    server.end();
}

#[test]
fn descriptors_block_and_signals_are_default() {
    let answer =
        answer("grep flags /proc/self/fdinfo/0 /proc/self/fdinfo/1; grep Sig /proc/self/status");
    let flags: Vec<_> = answer
        .lines()
        .filter(|line| line.contains("flags:"))
        .collect();
    assert_eq!(flags.len(), 2, "{answer}");
    for line in flags {
        let octal = line.rsplit('\t').next().expect("a number");
        let flags = u32::from_str_radix(octal, 8).expect("octal");
        // O_NONBLOCK.
        assert_eq!(flags & 0o4000, 0, "{line}");
    }
    assert!(has_default_signals(&answer), "{answer}");
}

#[test]
fn an_ignored_signal_of_the_parent_is_default() {
    let args = args(&[], &["grep", "Sig", "/proc/self/status"]);
    let mut server = Halves::start(&mut halves_after("trap '' HUP PIPE USR1", &args));
    server.wait_until_listening(1);
    let answer = String::from_utf8(server.client().rest()).expect("text");
    assert!(has_default_signals(&answer), "{answer}");
    server.end();
}

/// Returns true if no signal is blocked or ignored, in the text of /proc/self/status.
fn has_default_signals(status: &str) -> bool {
    ["SigBlk:\t", "SigIgn:\t"].iter().all(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let set = u64::from_str_radix(line.expect("a line"), 16).expect("hexadecimal");
        // From 32 up are the internal signals of the C library.
        set.trailing_zeros() >= 31
    })
}

#[test]
fn the_limit_of_open_files_is_that_of_the_start() {
    for files in ["64", "200"] {
        let args = args(&[], &["sh", "-c", "ulimit -Sn; ulimit -Hn"]);
        let shell = format!("ulimit -Sn {files} && ulimit -Hn 300");
        let mut server = Halves::start(&mut halves_after(&shell, &args));
        server.wait_until_listening(1);
        let answer = String::from_utf8(server.client().rest()).expect("text");
        assert_eq!(answer, format!("{files}\n300\n"));
        server.end();
    }
}

#[test]
fn each_program_leads_a_process_group() {
    let answer = answer("echo $$; cut -d' ' -f5 /proc/$$/stat");
    let [pid, group] = answer.lines().collect::<Vec<_>>()[..] else {
        panic!("{answer}");
    };
    assert_eq!(pid, group);
}
