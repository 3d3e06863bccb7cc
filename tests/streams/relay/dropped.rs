//! A relay that is dropped at any wait never makes cut bytes look complete, and a sender that is
//! dropped loses none.

use std::pin::Pin;

use futures_lite::future;
use halves::listener::memory;
use halves::service;

use super::{End, RESET, Relayed, close, read, write};

#[test]
fn a_relay_dropped_at_any_wait_resets_what_is_not_complete() {
    let question: Vec<u8> = (0..50).collect();
    let mut whole = 0;
    for polls in 0..40 {
        let (mut client, near) = memory::pair(7);
        let (far, mut origin) = memory::pair(5);
        let mut relay = service::relay(near, far);
        let (mut sent, mut received, mut is_closed) = (0, Vec::new(), false);
        for _ in 0..polls {
            if !is_closed {
                sent += write(&mut client, &question[sent..]).expect("open");
                is_closed = sent == question.len();
                if is_closed {
                    close(&mut client);
                }
            }
            let polled = future::block_on(future::poll_once(Pin::new(&mut relay)));
            assert!(polled.is_none(), "the origin has not ended");
            received.extend(read(&mut origin).0);
        }
        drop(relay);
        let (rest, end) = read(&mut origin);
        received.extend(rest);
        assert!(question.starts_with(&received));
        if end == End::Closed {
            assert_eq!(received, question, "after {polls} polls");
            whole += 1;
        } else {
            assert_eq!(end, RESET, "after {polls} polls");
        }
        assert_eq!(read(&mut client), (vec![], RESET), "no answer is complete");
    }
    assert!(whole > 5 && whole < 35, "{whole}");
}

#[test]
fn a_relay_dropped_after_an_end_leaves_that_end() {
    let (mut client, near) = memory::pair(100);
    let (far, mut origin) = memory::pair(100);
    let mut relay = service::relay(near, far);
    write(&mut origin, b"answer").expect("open");
    close(&mut origin);
    assert!(future::block_on(future::poll_once(Pin::new(&mut relay))).is_none());
    drop(relay);
    assert_eq!(read(&mut client), (b"answer".to_vec(), End::Closed));
    assert_eq!(read(&mut origin), (vec![], RESET));
    let _ = write(&mut client, b"late").expect_err("it is gone");
}

/// Nothing is lost if the sender is dropped right after its last write.
#[test]
fn a_sender_that_is_dropped_has_sent_everything() {
    for (client_bound, origin_bound) in [(1, 1), (100, 3), (200_000, 1000)] {
        let mut relayed = Relayed::new(client_bound, origin_bound);
        let sent: Vec<u8> = (0..client_bound).map(|n| n.to_le_bytes()[0]).collect();
        write(&mut relayed.client, &sent).expect("open");
        let (unused, _) = memory::pair(1);
        drop(std::mem::replace(&mut relayed.client, unused));
        let mut received = Vec::new();
        loop {
            relayed.settle();
            let (bytes, end) = read(&mut relayed.origin);
            received.extend(bytes);
            if end == End::Closed {
                break;
            }
        }
        assert!(received == sent);
        close(&mut relayed.origin);
        relayed.settle();
        relayed.result().expect("both have ended");
    }
}
