//! Both ends of TLS, with the checks of the tests.

#![no_main]

#[path = "../../tests/streams/tls/check.rs"]
mod check;
#[path = "../../tests/support/forger.rs"]
mod forger;
#[allow(dead_code, reason = "shared with the tests")]
#[path = "../../tests/support/tls_peer.rs"]
mod tls_peer;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| check::check(data));
