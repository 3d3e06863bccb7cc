//! A side that does not read holds back the other side, and nothing is polled in vain.

use std::sync::atomic::Ordering;

use halves::testing::pattern;

use super::{End, Relayed, close, read, write};

const CHUNK_BYTES: usize = 65_536;

#[test]
fn a_direction_takes_one_chunk_from_a_fast_sender_while_the_other_side_does_not_read() {
    for back in [false, true] {
        let mut relayed = Relayed::new(100_000, 1000);
        // Both pipes, and what one read of the source yields.
        let (from, to, most) = if back {
            (
                &mut relayed.origin,
                &mut relayed.client,
                1000 + 100_000 + 1000,
            )
        } else {
            (
                &mut relayed.client,
                &mut relayed.origin,
                100_000 + CHUNK_BYTES,
            )
        };
        let sent = pattern(1 << 20);
        let mut taken = 0;
        for _ in 0..200 {
            taken += write(from, &sent[taken..]).expect("open");
            while relayed.ex.try_tick() {}
        }
        assert_eq!(taken, most);
        let polls = relayed.polls.load(Ordering::Relaxed);
        for _ in 0..100 {
            assert_eq!(write(from, &sent[taken..]).expect("open"), 0);
            while relayed.ex.try_tick() {}
        }
        assert_eq!(relayed.polls.load(Ordering::Relaxed), polls, "it waits");
        let mut received = Vec::new();
        while received.len() < taken {
            received.extend(read(to).0);
            while relayed.ex.try_tick() {}
        }
        assert!(received == sent[..taken]);
    }
}

#[test]
fn an_idle_relay_is_not_polled_and_a_ping_costs_two_polls_each_way() {
    let mut relayed = Relayed::new(100, 100);
    relayed.settle();
    let mut polls = relayed.polls();
    assert_eq!(polls, 1);
    for _ in 0..50 {
        write(&mut relayed.client, b"ping").expect("open");
        relayed.settle();
        assert_eq!(read(&mut relayed.origin), (b"ping".to_vec(), End::Open));
        write(&mut relayed.origin, b"pong").expect("open");
        relayed.settle();
        assert_eq!(read(&mut relayed.client), (b"pong".to_vec(), End::Open));
        relayed.settle();
        assert!(relayed.polls() - polls <= 4, "{}", relayed.polls() - polls);
        polls = relayed.polls();
    }
    close(&mut relayed.client);
    close(&mut relayed.origin);
    relayed.result().expect("both have ended");
}
