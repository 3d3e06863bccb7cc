//! Random changes of PEM text: nothing panics, and each error is one line.

use fastrand::Rng;

use crate::support::pki::Leaf;
use crate::support::seed::seed;

use super::check::check;

#[test]
fn any_text_is_loaded_or_refused_in_one_line() {
    let mut random = Rng::with_seed(seed());
    let leaf = Leaf::self_signed(&["localhost", "*.example.org", "192.0.2.1"]);
    let text = (leaf.certificate + &leaf.key).into_bytes();
    for _ in 0..3_000 {
        let mut text = text.clone();
        for _ in 0..random.usize(1..4) {
            let position = random.usize(..text.len());
            // A letter of base64 changes bytes of the certificate, which is still PEM.
            text[position] = match random.u8(..8) {
                0 => random.u8(..),
                1 => b'\n',
                _ => random.alphanumeric() as u8,
            };
        }
        if random.u8(..8) == 0 {
            text.truncate(random.usize(..text.len()));
        }
        check(&text);
    }
}
