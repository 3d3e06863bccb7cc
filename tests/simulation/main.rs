//! Simulation of servers and clients, in virtual time.

mod exchange;
mod failing;
mod faults;
mod framing;
mod halves;
mod invariants;
mod records;
mod repeated;
mod replaying;
mod seeds;
#[path = "../support/mod.rs"]
mod support;
