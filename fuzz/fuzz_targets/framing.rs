//! Reading in frames, against the oracle of the tests.

#![no_main]

#[path = "../../tests/streams/framing/check.rs"]
mod check;
#[path = "../../tests/support/frames.rs"]
mod frames;
#[path = "../../tests/support/pieces.rs"]
mod pieces;

use libfuzzer_sys::fuzz_target;
use pieces::Pieces;

fuzz_target!(|data: &[u8]| check::Case::decode(data).check());
