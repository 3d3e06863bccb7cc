//! Random schedules of both ends, compared with what must come out.

use fastrand::Rng;
use halves::listener::memory;

use super::{End, RESET, Relayed, close, read, write};
use crate::support::seed::seeds;

/// The sender and the receiver of one direction.
#[derive(Default)]
struct Way {
    sent: Vec<u8>,
    received: Vec<u8>,
    closed: bool,
    end: Option<End>,
}

impl Way {
    fn receive(&mut self, (bytes, end): (Vec<u8>, End)) {
        self.received.extend(bytes);
        assert!(self.sent.starts_with(&self.received), "in order");
        if end == End::Closed {
            assert!(self.closed, "an end that was not sent");
            assert!(self.received == self.sent, "a cut end");
        }
        if end != End::Open {
            self.end = Some(end);
        }
    }
}

#[test]
fn random_schedules_pass_everything_on() {
    for seed in seeds(300) {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "HALVES_SEED={seed}");
    }
}

fn run(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let bounds = [1, 3, 100, 5_000, 200_000];
    let mut bound = || bounds[random.usize(..bounds.len())];
    let (near, far) = (bound(), bound());
    let mut relayed = Relayed::new(near, far);
    // Small pipes take many turns for much.
    let most_bytes = (near.min(far) * 200).min(1 << 17);
    // One of four schedules has a reset.
    let reset_at = if random.u8(..4) == 0 {
        random.u32(..80)
    } else {
        u32::MAX
    };
    let mut ways = [Way::default(), Way::default()];
    let mut reset = None;
    for step in 0..80 {
        let from_client = random.bool();
        let (end, ways) = if from_client {
            let [out, back] = &mut ways;
            (&mut relayed.client, [out, back])
        } else {
            let [back, out] = &mut ways;
            (&mut relayed.origin, [out, back])
        };
        let [out, back] = ways;
        if step == reset_at {
            end.peer.abort();
            reset = Some(from_client);
            break;
        }
        match random.u8(..10) {
            0..4 if !out.closed => {
                let size = random.usize(..=most_bytes);
                let bytes: Vec<u8> = (0..size).map(|_| random.u8(..)).collect();
                let n = write(end, &bytes).expect("open");
                out.sent.extend(&bytes[..n]);
            }
            4 if random.u8(..4) == 0 => {
                close(end);
                out.closed = true;
            }
            5..8 => back.receive(read(end)),
            _ => {
                for _ in 0..random.u8(..5) {
                    relayed.ex.try_tick();
                }
            }
        }
    }
    finish(relayed, ways, reset);
}

/// Closes what is open, and reads all that is left.
fn finish(mut relayed: Relayed, mut ways: [Way; 2], reset: Option<bool>) {
    if let Some(from_client) = reset {
        let (other, way) = if from_client {
            (&mut relayed.origin, &mut ways[0])
        } else {
            (&mut relayed.client, &mut ways[1])
        };
        if way.end.is_some() {
            // The relay does not read that side any more.
            return;
        }
        for _ in 0..200_000 {
            while relayed.ex.try_tick() {}
            let (bytes, end) = read(other);
            way.received.extend(bytes);
            assert!(way.sent.starts_with(&way.received), "in order");
            if end != End::Open {
                assert!(
                    end == RESET || way.received == way.sent && way.closed,
                    "{end:?}"
                );
                return;
            }
        }
        panic!("the reset is not passed on");
    }
    close(&mut relayed.client);
    close(&mut relayed.origin);
    let [there, back] = &mut ways;
    (there.closed, back.closed) = (true, true);
    while there.end.is_none() || back.end.is_none() {
        relayed.settle();
        there.receive(read(&mut relayed.origin));
        back.receive(read(&mut relayed.client));
    }
    assert_eq!(
        (there.end, back.end),
        (Some(End::Closed), Some(End::Closed))
    );
    relayed.result().expect("both have ended");
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
