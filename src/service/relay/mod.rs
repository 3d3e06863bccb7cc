//! A relay between two connections.

mod copy;
mod direction;

pub use copy::relay;
