//! Tests of handlers without a network: simulation with faults, in virtual time.
//!
//! | to test | use |
//! |---|---|
//! | an answer | [`memory::ask`](crate::listener::memory::ask) |
//! | delays, splits, resets and every order of tasks | [`Simulation`] |
//!
//! With the feature `testing`. It changes nothing on a server's path.

mod simulation;

pub use simulation::{
    Failure, Faults, Sim, SimListener, SimReader, SimWriter, Simulation, Summary,
};
