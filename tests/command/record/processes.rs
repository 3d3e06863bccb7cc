//! The end of a server, its successor, and another user.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};

use halves::testing::Recorded;
use rustix::process::{Pid, Signal, geteuid, kill_process};

use super::{Recording, last, names, records};
use crate::common::{Client, halves, stuck, with_port};
use crate::support::place;
use crate::support::skip::skip;

#[test]
fn a_record_is_complete_up_to_an_abort() {
    let mut recording = Recording::serve(&["upper", "--threads=2"]);
    let at = recording.server.at[0];
    let mut idle = Client::new(at);
    assert_eq!(idle.ask("idle"), "IDLE");
    let _stuck = stuck(at);
    recording.server.signal(Signal::TERM);
    recording.server.wait_for("draining");
    recording.server.signal(Signal::TERM);
    assert_eq!(
        recording.server.code(),
        Some(143),
        "{:#?}",
        recording.server.log
    );
    let records = records(recording.dir.path());
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].answer(), b"IDLE");
    assert!(records[1].input().starts_with(b"herexx"));
    for record in &records {
        let end = last(record);
        let is_over = matches!(end, Recorded::Closed | Recorded::Cut(_));
        assert!(is_over, "{end:?}");
    }
}

#[test]
fn a_drain_deadline_leaves_whole_records() {
    let mut recording = Recording::serve(&["upper", "--drain-timeout=50ms"]);
    let _stuck = stuck(recording.server.at[0]);
    recording.server.signal(Signal::TERM);
    assert_eq!(
        recording.server.code(),
        Some(3),
        "{:#?}",
        recording.server.log
    );
    let records = records(recording.dir.path());
    assert!(records[0].input().starts_with(b"herexx"));
    assert!(matches!(
        last(&records[0]),
        Recorded::Closed | Recorded::Cut(_)
    ));
}

#[test]
fn a_new_process_goes_on_with_records() {
    let mut recording = Recording::serve(&["upper"]);
    let at = recording.server.at[0];
    let mut old = Client::new(at);
    assert_eq!(old.ask("before"), "BEFORE");
    recording.server.signal(Signal::USR2);
    let line = recording.server.wait_for("restarted pid=");
    let pid: i32 = line["restarted pid=".len()..].parse().expect("a number");
    assert_eq!(Client::new(at).send(b"new"), b"NEW");
    assert_eq!(old.ask("after"), "AFTER");
    assert_eq!(old.finish(), b"");
    recording.server.wait_for("ended ");
    kill_process(Pid::from_raw(pid).expect("a pid"), Signal::TERM).expect("it runs");
    assert_eq!(
        recording.server.code(),
        Some(0),
        "{:#?}",
        recording.server.log
    );
    let records = records(recording.dir.path());
    let answers: Vec<_> = records
        .iter()
        .map(halves::testing::Record::answer)
        .collect();
    assert_eq!(answers, [&b"BEFOREAFTER"[..], b"NEW"]);
    // Both are connection 1, of different processes.
    let names = names(recording.dir.path());
    assert!(
        names.iter().all(|name| name.ends_with("-1.record")),
        "{names:?}"
    );
    assert!(names[1].contains(&format!("-{pid}-")), "{names:?}");
}

#[test]
fn files_belong_to_the_user_of_the_server() {
    if !geteuid().is_root() {
        skip("files_belong_to_the_user_of_the_server", "needs root");
        return;
    }
    let dir = place::dir();
    chown(&dir, Some(65534), Some(65534)).expect("an owner");
    let path = dir.path().display().to_string();
    let args = ["upper", "--record", &path, "--user=65534", "--group=65534"];
    let mut server = crate::common::Halves::start(&mut halves(&with_port(&args)));
    server.wait_until_listening(1);
    assert_eq!(server.client().send(b"hello"), b"HELLO");
    server.end();
    let file = fs::metadata(dir.path().join(&names(dir.path())[0])).expect("a file");
    assert_eq!((file.uid(), file.gid()), (65534, 65534));
    assert_eq!(records(dir.path())[0].answer(), b"HELLO");
}
