//! Simulation of servers and clients, in virtual time.

mod exchange;
mod failing;
mod faults;
mod found;
mod framing;
mod halves;
mod invariants;
mod layers;
mod network;
mod proxy_protocol;
mod records;
mod relay;
mod repeated;
mod replaying;
mod schedules;
mod seed_variable;
mod seeds;
mod serve;
#[allow(
    clippy::duration_suboptimal_units,
    clippy::unreadable_literal,
    reason = "a printed test is part of it"
)]
mod shrinking;
mod splits;
#[path = "../support/mod.rs"]
mod support;
mod tasks;
#[cfg(feature = "tls")]
mod tls;
