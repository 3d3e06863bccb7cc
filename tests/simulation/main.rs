//! Simulation of servers and clients, in virtual time.

mod exchange;
mod failing;
mod faults;
mod framing;
mod halves;
mod invariants;
mod records;
mod relay;
mod repeated;
mod replaying;
mod seeds;
mod serve;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "tls")]
mod tls;
