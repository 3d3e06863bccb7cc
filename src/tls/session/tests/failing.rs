//! Wrong records, and the traps of rustls.

use super::forger::Forger;
use super::*;

/// The types of content in a record.
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// A session, and a forger in place of its peer.
fn connected() -> (Session, Forger) {
    let pair = Pair::connected(&TLS13, At::Server);
    (pair.session, Forger::new(pair.peer))
}

fn written(session: &mut Session, bytes: &[u8]) -> io::Result<usize> {
    session.write(&[IoSlice::new(bytes)], &mut Records::new())
}

/// Checks that the session has failed, and fails at each call.
fn has_failed(session: &mut Session) {
    for _ in 0..2 {
        let error = read(session, 8).expect_err("it has failed");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let error = written(session, b"more").expect_err("it has failed");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
    assert!(session.has_failed());
    assert_eq!(session.held(), 0);
}

#[test]
fn a_write_between_the_fragments_of_a_message_is_allowed() {
    let (mut session, mut forger) = connected();
    // A key update without a request for an answer. Its second fragment is split as well.
    let first = forger.record(HANDSHAKE, &[24, 0]);
    let second = forger.record(HANDSHAKE, &[0, 1, 0]);
    let (second, third) = second.split_at(9);
    give(&mut session, &[&first, second].concat());
    assert_eq!(read(&mut session, 8).expect("no error"), None);
    assert_eq!(written(&mut session, b"between").expect("no error"), 7);
    session.wait();
    assert_eq!(written(&mut session, b"again").expect("no error"), 5);
    give(&mut session, third);
    assert_eq!(read(&mut session, 8).expect("no error"), None);
    assert_eq!(session.held(), 0);
    assert_eq!(written(&mut session, b"after").expect("no error"), 5);
    // The old keys are not used any more.
    give(&mut session, &forger.record(APPLICATION_DATA, b"old"));
    has_failed(&mut session);
}

#[test]
fn a_wrong_record_is_answered_with_an_alert_and_remembered() {
    let (mut session, mut forger) = connected();
    let good = forger.record(APPLICATION_DATA, b"good");
    let mut bad = forger.record(APPLICATION_DATA, b"bad");
    *bad.last_mut().expect("a byte") ^= 1;
    give(&mut session, &[good, bad].concat());
    // The payload comes first.
    assert_eq!(
        read(&mut session, 8).expect("payload").as_deref(),
        Some(&b"good"[..])
    );
    has_failed(&mut session);
    assert_eq!(records(&session.take_answers()), [2 + 1 + 16], "an alert");
    // rustls would decrypt this one.
    forger.next -= 1;
    give(&mut session, &forger.record(APPLICATION_DATA, b"good"));
    has_failed(&mut session);
    assert_eq!(session.take_answers(), b"");
    let mut out = Records::new();
    session.close(&mut out).expect("it does nothing");
    assert!(out.is_empty());
}

#[test]
fn a_wrong_record_after_close_notify_is_an_error() {
    let (mut session, mut forger) = connected();
    session.close(&mut Records::new()).expect("closed");
    let good = forger.record(APPLICATION_DATA, b"good");
    give(&mut session, &good);
    assert_eq!(
        read(&mut session, 8).expect("payload").as_deref(),
        Some(&b"good"[..])
    );
    give(&mut session, &good);
    has_failed(&mut session);
}

#[test]
fn an_end_without_close_notify_is_an_error_after_the_payload() {
    for partial in [0, 10] {
        let (mut session, mut forger) = connected();
        let record = forger.record(APPLICATION_DATA, b"good");
        let next = forger.record(APPLICATION_DATA, b"next");
        give(&mut session, &[&record, &next[..partial]].concat());
        assert_eq!(
            read(&mut session, 2).expect("payload").as_deref(),
            Some(&b"go"[..])
        );
        assert_eq!(
            read(&mut session, 8).expect("payload").as_deref(),
            Some(&b"od"[..])
        );
        assert_eq!(read(&mut session, 8).expect("no error"), None);
        session.receive(Chunk::default());
        for _ in 0..2 {
            let error = read(&mut session, 8).expect_err("truncated");
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
            assert!(error.to_string().contains("close_notify"), "{error}");
        }
        // The other direction is open.
        assert_eq!(written(&mut session, b"answer").expect("no error"), 6);
    }
}

#[test]
fn an_end_within_the_handshake_is_an_error() {
    for version in VERSIONS {
        let mut pair = Pair::new(version, At::Client);
        assert!(!pair.session.handshake().expect("no error"));
        pair.session.receive(Chunk::default());
        for _ in 0..2 {
            let error = pair.session.handshake().expect_err("truncated");
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        }
    }
}

/// A handshake message of 65,535 bytes in records of this size, with a type that begins a handshake.
fn endless(size: usize) -> Vec<u8> {
    let message = [&[1, 0, 255, 255][..], &vec![0; 65_535]].concat();
    let record = |fragment: &[u8]| {
        let length = u16::try_from(fragment.len()).expect("short");
        [&[22, 3, 1][..], &length.to_be_bytes(), fragment].concat()
    };
    message.chunks(size).flat_map(record).collect()
}

#[test]
fn a_message_in_endless_fragments_is_an_error_before_it_fills_the_memory() {
    for size in [1, 2, 100, 16_384] {
        let mut session = Pair::new(&TLS13, At::Server).session;
        let (bytes, mut at) = (endless(size), 0);
        let error = loop {
            match session.handshake() {
                Err(error) => break error,
                Ok(complete) => assert!(!complete),
            }
            assert!(session.held() < CHUNK_BYTES);
            at += give(&mut session, &bytes[at..(at + 5000).min(bytes.len())]);
        };
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(at <= CHUNK_BYTES, "{at} bytes were received");
        assert_eq!(session.held(), 0);
    }
}

#[test]
fn a_write_before_the_rest_of_a_message_is_read_is_allowed() {
    let (mut session, mut forger) = connected();
    let first = forger.record(HANDSHAKE, &[24, 0]);
    let second = forger.record(HANDSHAKE, &[0, 1, 0]);
    let payload = forger.record(APPLICATION_DATA, b"old");
    let (second, third) = second.split_at(9);
    give(&mut session, &first);
    assert_eq!(read(&mut session, 8).expect("no error"), None);
    // The writer comes between a receive and the next read.
    give(&mut session, second);
    assert_eq!(written(&mut session, b"between").expect("no error"), 7);
    assert_eq!(read(&mut session, 8).expect("no error"), None);
    give(&mut session, &[third, &payload].concat());
    assert_eq!(written(&mut session, b"again").expect("no error"), 5);
    // The key update counts: the old keys are not used any more.
    has_failed(&mut session);
}
