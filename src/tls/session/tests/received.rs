//! Received bytes in pieces of any size.

use fastrand::Rng;

use super::*;

#[test]
fn a_handshake_completes_byte_by_byte_and_in_random_pieces() {
    let seed = seed::seed();
    let mut rng = Rng::with_seed(seed);
    for version in VERSIONS {
        for at in [At::Server, At::Client] {
            let mut largest = 1;
            for _ in 0..4 {
                let mut pair = Pair::new(version, at);
                pair.shake_hands(|| rng.usize(1..=largest));
                assert_eq!(pair.session.held(), 0, "{at:?}");
                pair.peer_writes(b"hello");
                pair.give(usize::MAX);
                assert_eq!(pair.read(8).as_deref(), Some(&b"hello"[..]));
                assert_eq!(pair.write(&[b"answer"]).expect("no error"), 6);
                assert_eq!(pair.peer_reads(), b"answer");
                largest *= 10;
            }
        }
    }
}

#[test]
fn payload_behind_the_last_message_of_a_handshake_is_kept() {
    for version in VERSIONS {
        // In TLS 1.2 the last message is that of the server.
        let at = if version == &TLS13 {
            At::Server
        } else {
            At::Client
        };
        let mut pair = Pair::new(version, at);
        while pair.peer.is_handshaking() {
            pair.session.handshake().expect("no error");
            pair.send_answers();
            pair.deliver_to_peer();
            if pair.peer.is_handshaking() {
                pair.collect_from_peer();
                pair.give(usize::MAX);
            }
        }
        pair.peer_writes(b"hello");
        pair.give(usize::MAX);
        assert!(pair.session.handshake().expect("no error"));
        assert_eq!(pair.read(8).as_deref(), Some(&b"hello"[..]));
        assert_eq!(pair.read(8), None);
    }
}

#[test]
fn records_are_read_at_every_split() {
    let sent = [pattern(70), pattern(1), pattern(50)];
    for version in VERSIONS {
        let mut pair = Pair::connected(version, At::Server);
        for split in 0..200 {
            for bytes in &sent {
                pair.peer_writes(bytes);
            }
            let mut received = Vec::new();
            pair.give(split);
            // The room is smaller than a record, and never ends at the end of one.
            while let Some(bytes) = pair.read(37) {
                received.extend(bytes);
            }
            pair.session.wait();
            pair.give(usize::MAX);
            while let Some(bytes) = pair.read(37) {
                received.extend(bytes);
            }
            assert_eq!(received, sent.concat(), "split at {split}");
            assert_eq!(pair.session.held(), 0);
        }
    }
}

#[test]
fn a_read_fills_all_its_buffers_from_several_records() {
    let mut pair = Pair::connected(&TLS13, At::Server);
    let sent = pattern(30_000);
    pair.peer_writes(&sent);
    pair.peer_writes(b"more");
    pair.give(usize::MAX);
    let (mut first, mut empty, mut rest) = (vec![0; 20_000], [], vec![0; 10_002]);
    let mut bufs = [&mut empty[..], &mut first, &mut [], &mut rest].map(IoSliceMut::new);
    let read = pair.session.read(&mut Scatter::new(&mut bufs));
    assert_eq!(read.expect("no error"), Some(30_002));
    assert_eq!([first, rest].concat(), [&sent[..], b"mo"].concat());
    assert_eq!(pair.read(10).as_deref(), Some(&b"re"[..]));
    assert_eq!(pair.read(10), None);
}

#[test]
fn the_end_of_the_peer_is_read_after_its_payload() {
    for version in VERSIONS {
        for at in [At::Server, At::Client] {
            let mut pair = Pair::connected(version, at);
            pair.peer_writes(b"last");
            pair.peer.send_close_notify();
            pair.collect_from_peer();
            pair.to_session.extend_from_slice(b"bytes after the end");
            pair.give(usize::MAX);
            assert_eq!(pair.read(3).as_deref(), Some(&b"las"[..]));
            assert_eq!(pair.read(3).as_deref(), Some(&b"t"[..]));
            for _ in 0..2 {
                assert_eq!(pair.read(3).as_deref(), Some(&b""[..]));
            }
            // The other direction stays open.
            pair.write(&[b"answer"]).expect("no error");
            assert_eq!(pair.peer_reads(), b"answer");
            pair.close();
            assert_eq!(pair.peer_reads(), b"");
            assert_eq!(pair.read(3).as_deref(), Some(&b""[..]));
        }
    }
}

#[test]
fn a_session_holds_a_buffer_only_for_a_part_of_a_record() {
    for version in VERSIONS {
        let mut pair = Pair::new(version, At::Server);
        while !pair.session.handshake().expect("no error") {
            pair.send_answers();
            pair.deliver_to_peer();
            pair.collect_from_peer();
            pair.session.wait();
            assert!(pair.session.input.capacity() <= 2 * pair.session.held().max(32));
            // In two parts, the first one without a whole record.
            let size = [20, usize::MAX][usize::from(pair.session.held() > 0)];
            pair.give(size);
        }
        assert_eq!(pair.session.input.capacity(), 0);
        pair.send_answers();
        pair.deliver_to_peer();
        for size in [10, 100, 1000, 16_384] {
            pair.peer_writes(&pattern(size));
            pair.give(size / 2);
            assert_eq!(pair.read(20_000), None);
            pair.session.wait();
            assert_eq!(pair.session.held(), size / 2);
            assert!(pair.session.input.capacity() <= size.max(64));
            pair.give(usize::MAX);
            assert_eq!(pair.read(20_000), Some(pattern(size)));
            assert_eq!(pair.session.input.capacity(), 0);
        }
    }
}

/// One random conversation: payload and key updates both ways, in pieces of any size.
struct Conversation {
    pair: Pair,
    rng: Rng,
    to_session: Vec<u8>,
    to_peer: Vec<u8>,
    read: Vec<u8>,
    peer_read: Vec<u8>,
}

impl Conversation {
    fn turn(&mut self) {
        let Self { pair, rng, .. } = self;
        let size = [10, 1000, 20_000, 100_000][rng.usize(..4)];
        let bytes = pattern(rng.usize(0..size));
        match rng.usize(..8) {
            0 | 1 => {
                pair.peer_writes(&bytes);
                self.to_session.extend(bytes);
            }
            2 if pair.peer.protocol_version() == Some(TLS13.version) => {
                pair.peer.refresh_traffic_keys().expect("TLS 1.3");
                pair.collect_from_peer();
            }
            3 | 4 => {
                let (first, second) = bytes.split_at(rng.usize(..=bytes.len()));
                let n = pair.write(&[first, second]).expect("no error");
                assert_eq!(n, bytes.len().min(65_536));
                self.to_peer.extend(&bytes[..n]);
            }
            5 => self.peer_read.extend(pair.peer_reads()),
            _ => {
                pair.give(size);
                while let Some(bytes) = pair.read(rng.usize(1..size)) {
                    self.read.extend(bytes);
                }
                pair.session.wait();
            }
        }
    }
}

#[test]
fn the_bytes_are_those_of_the_buffered_connection() {
    let seed = seed::seed();
    for n in 0..24 {
        let mut rng = Rng::with_seed(seed.wrapping_add(n));
        let (version, at) = (rng.choice(VERSIONS), rng.choice([At::Server, At::Client]));
        let pair = Pair::connected(version.expect("two"), at.expect("two"));
        let [to_session, to_peer, read, peer_read] = [const { Vec::new() }; 4];
        let mut conversation = Conversation {
            pair,
            rng,
            to_session,
            to_peer,
            read,
            peer_read,
        };
        for _ in 0..60 {
            conversation.turn();
        }
        let mut pair = conversation.pair;
        pair.close();
        pair.peer.send_close_notify();
        pair.collect_from_peer();
        loop {
            pair.give(usize::MAX);
            match pair.read(10_000) {
                Some(bytes) if bytes.is_empty() => break,
                bytes => conversation.read.extend(bytes.into_iter().flatten()),
            }
        }
        conversation.peer_read.extend(pair.peer_reads());
        assert!(
            conversation.read == conversation.to_session,
            "to the session"
        );
        assert!(
            conversation.peer_read == conversation.to_peer,
            "to the peer"
        );
    }
}
