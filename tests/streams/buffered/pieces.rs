//! Any calls in any order, each dropped at any wait: accepted bytes arrive once and in order.
//!
//! `HALVES_SEED=7 cargo test --test streams buffered::pieces` repeats a failure.

use std::io::ErrorKind;

use fastrand::Rng;
use futures_lite::future::{block_on, poll_once};
use halves::listener::memory::pair;

use crate::support::seed::seeds;

#[test]
fn calls_that_are_dropped_at_any_wait_lose_nothing() {
    for seed in seeds(500) {
        let mut random = Rng::with_seed(seed);
        let high = random.usize(..20);
        let low = random.usize(..=high);
        let (near, mut far) = pair(random.usize(1..10));
        let mut writer = near.writer.buffered().water_marks(low, high);
        let (mut sent, mut received) = (Vec::new(), Vec::new());
        for _ in 0..200 {
            let piece: Vec<u8> = (0..random.usize(..12)).map(|_| random.u8(..)).collect();
            match random.u8(..6) {
                0 | 1 => match writer.write(&piece) {
                    Ok(()) => sent.extend(piece),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::WouldBlock, "HALVES_SEED={seed}");
                        assert!(writer.waiting() > high, "HALVES_SEED={seed}");
                    }
                },
                2 => drop(block_on(poll_once(writer.ready()))),
                3 => drop(block_on(poll_once(writer.flush()))),
                _ => {
                    if let Some(chunk) = block_on(poll_once(far.reader.read_chunk())) {
                        received.extend_from_slice(&chunk.expect("no errors"));
                    }
                }
            }
            assert!(sent.starts_with(&received), "HALVES_SEED={seed}");
        }
        while block_on(poll_once(writer.close())).is_none() {
            let chunk = block_on(far.reader.read_chunk()).expect("no errors");
            received.extend_from_slice(&chunk);
        }
        loop {
            let chunk = block_on(far.reader.read_chunk()).expect("no errors");
            if chunk.is_empty() {
                break;
            }
            received.extend_from_slice(&chunk);
        }
        assert_eq!(received, sent, "HALVES_SEED={seed}");
    }
}
