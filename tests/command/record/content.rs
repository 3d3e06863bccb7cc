//! The content of a record, its name and its mode.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use halves::testing::{Record, Recorded};
use rustix::process::Signal;

use super::{Recording, last, names, records, wait_until};
use crate::common::{Halves, halves_after, run, with_port};

#[test]
fn a_record_has_the_traffic_of_a_client_and_its_ends() {
    let before = SystemTime::now();
    let recording = Recording::serve(&["upper"]);
    let mut client = recording.server.client();
    let own = client.0.local_addr().expect("an address").to_string();
    let server = recording.server.at[0].to_string();
    assert_eq!(client.ask("hello\n"), "HELLO\n");
    assert_eq!(client.ask("\"\0\u{e9}"), "\"\0\u{e9}");
    assert_eq!(client.finish(), b"");
    let record = recording.end_with_one();
    assert_eq!((record.client, record.server), (own, server));
    let began = record.began.expect("a date");
    assert!(before - Duration::from_secs(1) < began && began <= SystemTime::now());
    let data = |text: &str| text.as_bytes().to_vec();
    let what: Vec<_> = record.events.into_iter().map(|event| event.what).collect();
    assert_eq!(
        what,
        [
            Recorded::In(data("hello\n")),
            Recorded::Out(data("HELLO\n")),
            Recorded::In(data("\"\0\u{e9}")),
            Recorded::Out(data("\"\0\u{e9}")),
            Recorded::InEnd,
            Recorded::OutEnd,
            Recorded::Closed,
        ]
    );
}

#[test]
fn a_record_is_replayed_to_the_server() {
    let mut recording = Recording::serve(&["upper"]);
    let client = recording.server.client();
    assert_eq!(client.send(&b"hello\n".repeat(20_000)).len(), 120_000);
    recording.server.wait_for("closed");
    let at = recording.server.at[0].to_string();
    recording.end();
    let file = recording.dir.path().join(&names(recording.dir.path())[0]);
    let server = Recording::serve(&["upper"]);
    let file = file.display().to_string();
    let to = server.server.at[0].to_string();
    let output = run(&["replay", &file, &to]);
    assert_eq!(output.status.code(), Some(0), "{at}: {output:?}");
    let other = server.end_with_one();
    assert_eq!(other.input(), b"hello\n".repeat(20_000));
}

#[test]
fn names_sort_by_time_and_have_process_and_number() {
    let mut recording = Recording::serve(&["upper"]);
    for text in ["one", "two", "three"] {
        assert_eq!(
            recording.server.client().send(text.as_bytes()).len(),
            text.len()
        );
    }
    let process = recording.server.child().id();
    let records = recording.end();
    let inputs: Vec<_> = records.iter().map(Record::input).collect();
    assert_eq!(inputs, [&b"one"[..], b"two", b"three"]);
    for (name, number) in names(recording.dir.path()).iter().zip(1..) {
        let (time, rest) = name.split_once('-').expect("a time");
        assert_eq!(rest, format!("{process}-{number}.record"));
        let form: String = time
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        assert_eq!(form, "00000000T000000.000000Z");
    }
}

#[test]
fn only_the_user_of_the_server_reads_a_record() {
    for umask in ["0", "077", "0777"] {
        let mut recording = Recording::start(|dir| {
            let args = with_port(&["upper", "--record", dir]);
            Halves::start(&mut halves_after(&format!("umask {umask}"), &args))
        });
        assert_eq!(recording.server.client().ask("hello"), "HELLO");
        recording.end();
        let file = recording.dir.path().join(&names(recording.dir.path())[0]);
        let mode = fs::metadata(file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{umask}");
    }
}

#[test]
fn a_record_is_in_its_file_while_the_connection_runs() {
    let mut recording = Recording::serve(&["upper"]);
    let mut client = recording.server.client();
    assert_eq!(client.ask("hello"), "HELLO");
    wait_until(recording.dir.path(), |records| {
        let first = records.first();
        first.is_some_and(|record| record.answer() == b"HELLO")
    });
    // Nothing is written then, and what is there is a record.
    recording.server.signal(Signal::KILL);
    recording.server.wait();
    let records = records(recording.dir.path());
    assert_eq!(last(&records[0]), &Recorded::Out(b"HELLO".to_vec()));
}

#[test]
fn a_reset_is_recorded() {
    let recording = Recording::serve(&["upper"]);
    let mut client = recording.server.client();
    client.0.write_all(b"hello").expect("it reads");
    // An end with unread bytes is a reset.
    client.0.read_exact(&mut [0]).expect("it answers");
    drop(client);
    let mut recording = recording;
    recording.server.wait_for("closed conn=1");
    let record = recording.end_with_one();
    let what: Vec<_> = record.events.iter().map(|event| &event.what).collect();
    assert!(
        what.ends_with(&[&Recorded::Reset, &Recorded::Closed]),
        "{what:?}"
    );
}

/// The bytes of the answers that fit, and the last event.
fn with_limit(limit: &str, bytes: usize) -> (Record, u64) {
    let mut recording = Recording::serve(&["discard", "--record-limit", limit]);
    let client = recording.server.client();
    assert_eq!(client.send(&vec![b'x'; bytes]), b"");
    let mut records = recording.end();
    let file = recording.dir.path().join(&names(recording.dir.path())[0]);
    (records.remove(0), fs::metadata(file).expect("a file").len())
}

#[test]
fn a_file_is_no_longer_than_its_limit() {
    for (limit, most) in [("1k", 1024), ("1024", 1024), ("5000", 5000), ("64k", 65536)] {
        let (record, length) = with_limit(limit, 100_000);
        assert!(length <= most && most - length < 200, "{limit}: {length}");
        assert_eq!(last(&record), &Recorded::Cut("limit".to_owned()));
    }
    for (limit, bytes) in [("1m", 100_000), ("1k", 500)] {
        let (record, length) = with_limit(limit, bytes);
        assert_eq!(
            (record.input().len(), last(&record)),
            (bytes, &Recorded::Closed)
        );
        assert!(length > bytes as u64);
    }
}

#[test]
fn a_limit_is_a_size_from_1k_to_256m() {
    let problem = |limit: &str| {
        let option = format!("--record-limit={limit}");
        let output = run(&["check", "serve", "upper", "--record=/tmp", &option]);
        let text = String::from_utf8(output.stderr).expect("text");
        (output.status.code(), text)
    };
    for limit in ["1024", "1k", "256m", "262144k"] {
        assert_eq!(problem(limit).0, Some(0), "{limit}");
    }
    for limit in [
        "1023",
        "0",
        "257m",
        "1g",
        "268435457",
        "99999999999999999999g",
    ] {
        let (code, text) = problem(limit);
        assert_eq!(code, Some(2), "{limit}");
        assert!(text.contains("not a size"), "{text}");
    }
    for limit in ["", "k", "1K", "-1", "1.5k", "1kk", " 1k"] {
        let (code, text) = problem(limit);
        assert_eq!(code, Some(2), "{limit}");
        assert!(
            text.contains("write bytes, or a number with k, m or g"),
            "{text}"
        );
    }
}
