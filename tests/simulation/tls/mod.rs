//! TLS over simulated connections.
//!
//! A session takes random numbers of the system, so the bytes of the wire differ between two runs of
//! a seed. The certificate has a key of Ed25519, with signatures of one size, so the sizes, and with
//! them the faults and the order of the tasks, are the same.

mod behind_header;
mod cut;
mod deadlines;
mod dropped;
mod scripts;
mod switching;

use std::sync::OnceLock;

use halves::testing::Sim;

use crate::support::tls_ends::{Ends, VERSIONS};

/// Returns the settings for TLS 1.2 and 1.3.
fn both_ends() -> &'static [Ends; 2] {
    static ENDS: OnceLock<[Ends; 2]> = OnceLock::new();
    ENDS.get_or_init(|| VERSIONS.map(|version| Ends::with_key(version, &rcgen::PKCS_ED25519)))
}

/// Returns the settings for a random version. The client has no session yet.
fn random_ends(sim: &Sim) -> Ends {
    let index = usize::try_from(sim.random(0..2)).expect("it is small");
    both_ends()[index].without_sessions()
}
