//! Reading in frames, against the oracle of the tests.

#![no_main]

#[path = "../../tests/streams/framing/check.rs"]
mod check;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| check::Case::decode(data).check());
