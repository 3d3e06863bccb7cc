//! Records that a session sends.

use super::*;

/// The bytes that a record adds to its payload: the type of its content, and the tag of the cipher.
const OVERHEAD: usize = 1 + 16;

#[test]
fn a_write_of_many_slices_makes_full_records() {
    let mut pair = Pair::connected(&TLS13, At::Server);
    let small = pattern(16_384);
    let (head, body) = (pattern(100), pattern(60_000));
    let large = pattern(100_000);
    for (slices, payloads) in [
        (small.chunks(100).collect(), vec![16_384]),
        (
            small.chunks(1).chain([&small[..10]]).collect(),
            vec![16_384, 10],
        ),
        (
            vec![&head[..], &[], &body, &head],
            vec![16_384, 16_384, 16_384, 11_048],
        ),
        (vec![&large[..], &large], vec![16_384; 4]),
        (vec![&large[..50_000], &large], vec![16_384; 4]),
        (vec![], vec![]),
        (vec![&[], &[]], vec![]),
    ] {
        let written = pair.write(&slices).expect("no error");
        assert_eq!(written, payloads.iter().sum::<usize>());
        let lengths = payloads.iter().map(|n| n + OVERHEAD).collect::<Vec<_>>();
        assert_eq!(records(&pair.to_peer), lengths);
        let received = pair.peer_reads();
        assert!(received == slices.concat()[..written]);
    }
}

#[test]
fn nothing_is_sent_after_close_notify_and_it_is_sent_once() {
    for version in VERSIONS {
        for at in [At::Server, At::Client] {
            let mut pair = Pair::connected(version, at);
            pair.write(&[b"last"]).expect("no error");
            pair.close();
            let sent = pair.to_peer.len();
            pair.close();
            let error = pair.write(&[b"late"]).expect_err("closed");
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            assert_eq!(pair.to_peer.len(), sent);
            assert_eq!(pair.peer_reads(), b"last");
            assert_eq!(pair.peer.reader().read(&mut [0; 4]).expect("the end"), 0);
            // The other direction stays open.
            pair.peer_writes(b"hello");
            pair.give(usize::MAX);
            assert_eq!(pair.read(8).as_deref(), Some(&b"hello"[..]));
        }
    }
}

#[test]
fn a_write_leaves_whole_records_unread() {
    let mut pair = Pair::connected(&TLS13, At::Server);
    pair.peer_writes(b"one");
    pair.peer_writes(b"two");
    pair.give(usize::MAX);
    assert_eq!(pair.read(2).as_deref(), Some(&b"on"[..]));
    pair.write(&[b"between"]).expect("no error");
    assert_eq!(pair.read(8).as_deref(), Some(&b"etwo"[..]));
    pair.peer_writes(b"three");
    pair.give(10);
    assert_eq!(pair.read(8), None);
    pair.write(&[b"again"]).expect("no error");
    pair.give(usize::MAX);
    assert_eq!(pair.read(8).as_deref(), Some(&b"three"[..]));
    assert_eq!(pair.peer_reads(), b"betweenagain");
}

#[test]
fn a_key_update_is_answered_before_the_next_payload() {
    let mut pair = Pair::connected(&TLS13, At::Server);
    for _ in 0..3 {
        pair.peer.refresh_traffic_keys().expect("TLS 1.3");
        pair.collect_from_peer();
        pair.peer_writes(b"new keys");
        pair.give(usize::MAX);
        assert_eq!(pair.read(8).as_deref(), Some(&b"new keys"[..]));
        pair.write(&[b"answer"]).expect("no error");
        assert_eq!(records(&pair.to_peer).len(), 2);
        assert_eq!(pair.peer_reads(), b"answer");
    }
}

#[test]
fn records_that_wait_are_in_a_buffer_of_their_size() {
    let mut records = Records::new();
    let pooled = records.capacity();
    records.append(&pattern(30_000));
    records.shrink();
    assert_eq!(records.capacity(), pooled);
    records.advance(29_000);
    records.shrink();
    assert_eq!(records.as_slice(), &pattern(30_000)[29_000..]);
    assert_eq!(records.capacity(), 1000);
    records.append(b"more");
    assert_eq!(&records.as_slice()[1000..], b"more");
}
