//! Tests of handlers without a network: simulation with faults, in virtual time.
//!
//! | to test | use |
//! |---|---|
//! | halves of your own | [`check_halves`] |
//! | an answer | [`memory::ask`](crate::listener::memory::ask) |
//! | every way to split the input | [`every_split`] |
//! | a call that is dropped at any await | [`every_cancel`] |
//! | traffic of a real client, as text | [`record()`], [`Record`] |
//! | delays, splits, resets and every order of tasks | [`Simulation`] |
//! | the answer to recorded clients | [`replay`](replay()) |
//!
//! With the feature `testing`. It changes nothing on a server's path.

mod check_halves;
mod every_cancel;
mod every_split;
mod pattern;
mod pieces;
mod record;
mod replay;
mod simulation;

pub use check_halves::{Ends, HalvesCheck, check_halves};
pub use every_cancel::every_cancel;
pub use every_split::every_split;
pub use pattern::pattern;
pub use pieces::{Output, pieces};
pub use record::{
    Record, RecordError, RecordEvent, RecordReader, RecordWriter, Recorded, Recorder, Recording,
    record,
};
pub use replay::{Difference, Observed, Replay, Replayed, replay};
pub use simulation::{
    Failure, Faults, Sim, SimListener, SimReader, SimWriter, Simulation, Summary,
};
