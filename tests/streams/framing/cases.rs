//! Frames in pieces, with every call cancelled: all splits of short streams, and random ones of
//! longer streams.
//!
//! `HALVES_SEED=7 cargo test --test streams framing::cases` runs what a failure has printed, `HALVES_CASES=100000`
//! so many.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use fastrand::Rng;
use halves::framing::Length;

use crate::framing::check::{Ask, Case};

/// Every split of `bytes`, with a wait before each piece, and no call that survives a wait.
fn split(bytes: &[u8], limit: usize, ask: Ask) {
    for cuts in 0..1_u32 << (bytes.len() - 1) {
        let mut pieces = vec![vec![], vec![]];
        for (n, byte) in bytes.iter().enumerate() {
            pieces.last_mut().expect("there is one").push(*byte);
            if cuts >> n & 1 == 1 {
                pieces.extend([vec![], vec![]]);
            }
        }
        let case = Case {
            limit,
            asks: vec![ask],
            pieces,
            cancels: u8::MAX,
        };
        case.check();
    }
}

#[test]
fn a_call_that_is_dropped_at_any_wait_loses_nothing() {
    for limit in 0..8 {
        split(b"ab\ncd\n\ne", limit, Ask::Line);
        split(b"a\r\nb\nc\r", limit, Ask::Until(&[b"\r\n", b"\n"]));
        split(b"aaabaab", limit, Ask::Until(&[b"aab"]));
        split(b"abcdefg", limit, Ask::Exactly(3));
        split(
            b"\x00\x03abc\x00\x00\x00",
            limit,
            Ask::Frame(Length::U16Be, 2),
        );
        split(
            b"\x02\x00\x00\x00ab\x01",
            limit,
            Ask::Frame(Length::U32Le, 4),
        );
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "a failure says how to replay it")]
fn whatever_is_asked_of_whatever_comes_is_as_the_oracle_says() {
    let number = |name| env::var(name).ok().map(|n| n.parse::<u64>().expect(name));
    let seeds = number("HALVES_SEED").map_or_else(
        || {
            let first = fastrand::u64(..1 << 48);
            first..first + number("HALVES_CASES").unwrap_or(5000)
        },
        |seed| seed..seed + 1,
    );
    for seed in seeds {
        let mut random = Rng::with_seed(seed);
        let size = random.usize(..300);
        let data: Vec<u8> = (0..size).map(|_| random.u8(..)).collect();
        let case = Case::decode(&data);
        let checked = catch_unwind(AssertUnwindSafe(|| case.check()));
        if let Err(panic) = checked {
            println!("replay it with HALVES_SEED={seed}");
            resume_unwind(panic);
        }
    }
}
