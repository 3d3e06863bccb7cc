//! Simulation of servers and clients, in virtual time.

mod failing;
mod faults;
mod invariants;
mod repeated;
