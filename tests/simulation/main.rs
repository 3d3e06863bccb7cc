//! Simulation of servers and clients, in virtual time.

mod failing;
mod faults;
mod halves;
mod invariants;
mod records;
mod repeated;
mod replaying;

#[path = "../support/mod.rs"]
mod support;
