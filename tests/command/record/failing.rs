//! Directories and files that cannot be written: a connection goes on without its record.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use halves::testing::Recorded;
use rustix::process::{Resource, geteuid, getrlimit};

use super::{Recording, last, names, read_now, wait_until};
use crate::common::{Client, Halves, halves_after, run, with_port};
use crate::support::place;
use crate::support::skip::skip;

/// The error of the start, and of `check`.
fn refused(options: &[&str]) -> String {
    let args = with_port(&[&["upper"], options].concat());
    let output = run(&args);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let start = String::from_utf8(output.stderr).expect("text");
    assert_eq!(start.lines().count(), 1, "{start}");
    start.trim_end().to_owned()
}

fn check(options: &[&str]) -> (Option<i32>, String) {
    let output = run(&[&["check", "serve", "upper", "--listen=0"], options].concat());
    let text = String::from_utf8(output.stderr).expect("text");
    (output.status.code(), text.trim_end().to_owned())
}

#[test]
fn a_directory_that_is_missing_or_a_file_is_refused_at_the_start() {
    let dir = place::dir();
    let file = dir.path().join("file").display().to_string();
    fs::write(&file, "").expect("a file");
    for (path, problem) in [
        (
            format!("{file}2"),
            "No such file or directory (os error 2); make the directory first",
        ),
        (file.clone(), "not a directory"),
        (
            format!("{file}/x"),
            "Not a directory (os error 20); make the directory first",
        ),
    ] {
        let message = format!("halves: --record {path}: {problem}");
        assert_eq!(refused(&["--record", &path]), message);
        assert_eq!(check(&["--record", &path]), (Some(1), message));
    }
    let dir = dir.path().display().to_string();
    assert_eq!(check(&["--record", &dir]).0, Some(0));
}

#[test]
fn a_directory_that_the_server_cannot_write_is_refused_at_the_start() {
    let dir = place::dir();
    let mode = if geteuid().is_root() { 0o700 } else { 0o500 };
    fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).expect("a mode");
    let path = dir.path().display().to_string();
    let options = ["--record", &path, "--user", "65534", "--group", "65534"];
    let options = if geteuid().is_root() {
        &options[..]
    } else {
        &options[..2]
    };
    let expected = format!(
        "halves: --record {path}: the server cannot create files there: Permission denied (os error 13)"
    );
    assert_eq!(refused(options), expected);
    // As the user of the server, and not as root.
    assert_eq!(check(options), (Some(1), expected));
}

#[test]
fn check_as_root_uses_the_directory_as_the_user_of_the_server() {
    if !geteuid().is_root() {
        skip(
            "check_as_root_uses_the_directory_as_the_user_of_the_server",
            "needs root",
        );
        return;
    }
    let dir = place::dir();
    chown(&dir, Some(65534), Some(65534)).expect("an owner");
    let path = dir.path().display().to_string();
    let options = ["--record", &path, "--user=65534", "--group=65534"];
    assert_eq!(check(&options), (Some(0), String::new()));
}

#[test]
fn bad_usage_of_records_has_a_reason() {
    for (args, problem) in [
        (
            &["serve", "upper", "--record-limit=1m"][..],
            "--record-limit needs --record",
        ),
        (
            &["proxy", "h:1", "--record=/tmp", "--handover"],
            "--handover and --record exclude each other: a relay that moves leaves its record",
        ),
    ] {
        let output = run(args);
        let text = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(text.lines().next(), Some(&*format!("halves: {problem}")));
    }
}

/// The numbers of records in the lines that report cut ones.
fn reported(server: &Halves) -> Vec<u64> {
    let lines = server
        .log
        .iter()
        .filter_map(|line| line.strip_prefix("records_cut count="));
    let number = |line: &str| {
        line.split(' ')
            .next()
            .and_then(|number| number.parse().ok())
    };
    lines.map(|line| number(line).expect("a number")).collect()
}

#[test]
fn a_removed_directory_is_reported_once_and_ends_nothing() {
    let mut recording = Recording::serve(&["upper"]);
    let mut old = recording.server.client();
    assert_eq!(old.ask("before"), "BEFORE");
    wait_until(recording.dir.path(), |records| !records.is_empty());
    fs::remove_dir_all(&recording.dir).expect("a directory");
    let first = recording.server.client();
    assert_eq!(first.send(b"hello"), b"HELLO");
    let line = recording.server.wait_for("records_cut");
    assert!(line.contains("No such file or directory"), "{line}");
    for _ in 0..30 {
        assert_eq!(recording.server.client().send(b"hello"), b"HELLO");
    }
    assert_eq!(old.ask("after"), "AFTER");
    drop(old);
    recording.server.end();
    // One line at once, and one at the end.
    let counts = reported(&recording.server);
    assert_eq!(
        (counts.len(), counts.iter().sum()),
        (2, 31),
        "{:#?}",
        recording.server.log
    );
}

#[test]
fn a_file_that_cannot_grow_is_cut_with_the_cause_and_ends_nothing() {
    let mut recording = Recording::start(|dir| {
        let args = with_port(&["discard", "--record", dir]);
        Halves::start(&mut halves_after("ulimit -f 100", &args))
    });
    let sent = vec![b'x'; 300_000];
    for _ in 0..2 {
        assert_eq!(recording.server.client().send(&sent), b"");
    }
    assert_eq!(recording.server.client().send(b"short"), b"");
    let records = recording.end();
    let (last_ends, inputs): (Vec<_>, Vec<_>) = records
        .iter()
        .map(|record| (last(record).clone(), record.input()))
        .unzip();
    let cut = Recorded::Cut("file too large".to_owned());
    assert_eq!(last_ends, [cut.clone(), cut, Recorded::Closed]);
    assert!(inputs[0].len() > 1000 && sent.starts_with(&inputs[0]));
    assert_eq!(inputs[2], b"short");
    let counts = reported(&recording.server);
    assert_eq!(
        (counts[0], counts.iter().sum()),
        (1, 2),
        "{:#?}",
        recording.server.log
    );
    let logged = recording
        .server
        .has_logged(".record: File too large (os error 27)");
    assert!(logged, "{:#?}", recording.server.log);
}

/// A server with records on a disk of 64 KiB, and the path of that disk, or None if the system does
/// not allow one.
fn on_small_disk() -> Option<(Recording, PathBuf)> {
    let script = "mount -t tmpfs -o size=64k tmpfs \"$DISK\" && exec \"$0\" \"$@\"";
    let small = |dir: &str, program: &str, args: &[&str]| {
        let mut command = Command::new("unshare");
        let words = ["--mount", "sh", "-c", script, program];
        command.args(words).args(args).env("DISK", dir);
        command
    };
    let place = place::dir();
    let mut tried = small(&place.path().display().to_string(), "true", &[]);
    if !tried
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
    {
        return None;
    }
    let mut recording = Recording::start(|dir| {
        let args = with_port(&["discard", "--record", dir]);
        Halves::start(&mut small(dir, env!("CARGO_BIN_EXE_halves"), &args))
    });
    let root = format!("/proc/{}/root", recording.server.child().id());
    let disk = PathBuf::from(root + &recording.dir.path().display().to_string());
    Some((recording, disk))
}

#[test]
fn a_full_disk_ends_records_and_no_connection() {
    let Some((mut recording, disk)) = on_small_disk() else {
        skip(
            "a_full_disk_ends_records_and_no_connection",
            "needs a disk of its own",
        );
        return;
    };
    assert_eq!(recording.server.client().send(&vec![b'x'; 300_000]), b"");
    let line = recording.server.wait_for("records_cut count=1 ");
    assert!(line.contains("No space left on device"), "{line}");
    wait_until(&disk, |records| records.len() == 1);
    // Without room, the file is as whole as before, with or without the cause.
    let record = &read_now(&disk)[0];
    assert!(record.input().len() > 10_000, "{:?}", record.input().len());
    assert!(matches!(last(record), Recorded::In(_) | Recorded::Cut(_)));
    for _ in 0..3 {
        assert_eq!(recording.server.client().send(b"hello"), b"");
    }
    // With room again, records are whole again.
    for name in names(&disk) {
        let _ = fs::remove_file(disk.join(name));
    }
    assert_eq!(recording.server.client().send(b"again"), b"");
    wait_until(&disk, |records| {
        let again = records.iter().find(|record| record.input() == b"again");
        again.is_some_and(|record| last(record) == &Recorded::Closed)
    });
    recording.server.end();
}

#[test]
fn a_connection_takes_two_descriptors() {
    let mut recording = Recording::start(|dir| {
        let args = with_port(&["upper", "--record", dir]);
        Halves::start(&mut halves_after("ulimit -n 64", &args))
    });
    let clients: Vec<_> = (0..100).map(|_| recording.server.client()).collect();
    recording
        .server
        .wait_for("limit reached=\"max_connections=20\"");
    for client in clients {
        assert_eq!(client.send(b"hello"), b"HELLO");
    }
    let records = recording.end();
    assert_eq!(records.len(), 100);
    assert!(
        records
            .iter()
            .all(|record| last(record) == &Recorded::Closed)
    );
    assert_eq!(reported(&recording.server), [0; 0]);
}

#[test]
fn a_thousand_connections_at_once_are_recorded() {
    // The clients of this process, and the server with its files.
    if getrlimit(Resource::Nofile)
        .current
        .is_some_and(|files| files < 2500)
    {
        skip(
            "a_thousand_connections_at_once_are_recorded",
            "needs 2500 open files",
        );
        return;
    }
    let mut recording = Recording::serve(&["upper"]);
    let at = recording.server.at[0];
    let mut clients: Vec<_> = (0..1000).map(|_| Client::new(at)).collect();
    for (client, n) in clients.iter_mut().zip(0..) {
        assert_eq!(client.ask(&format!("n{n}")), format!("N{n}"));
    }
    for client in clients {
        assert_eq!(client.finish(), b"");
    }
    let records = recording.end();
    assert_eq!(names(recording.dir.path()).len(), 1000);
    let mut answers: Vec<_> = records
        .iter()
        .map(halves::testing::Record::answer)
        .collect();
    answers.sort();
    answers.dedup();
    assert_eq!(answers.len(), 1000);
    assert!(
        records
            .iter()
            .all(|record| last(record) == &Recorded::Closed)
    );
}
