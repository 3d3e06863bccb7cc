//! Certificates and keys in PEM, with the checks of the tests.

#![no_main]

#[path = "../../tests/api/tls_settings/check.rs"]
mod check;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| check::check(data));
