//! Frames in pieces, with every call cancelled: all splits of short streams, and random splits of
//! longer ones.
//!
//! `HALVES_SEED=7 cargo test --test streams framing::cases` repeats a failure,
//! `HALVES_CASES=100000` runs so many.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use fastrand::Rng;
use halves::framing::Length;

use crate::framing::check::Case;
use crate::support::frames::Ask;
use crate::support::seed::{number, seeds};

/// Checks every split of `bytes`, with a wait before each piece, at which every call is dropped.
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
fn random_calls_on_random_streams_match_the_oracle() {
    for seed in seeds(number("HALVES_CASES").unwrap_or(5000)) {
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
