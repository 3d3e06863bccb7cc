//! Headers of the PROXY protocol, with the checks of the tests.

#![no_main]

#[path = "../../tests/api/proxy_protocol/check.rs"]
mod check;
#[path = "../../tests/support/pieces.rs"]
mod pieces;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    check::check(data);
    check::check_received(data);
});
