//! A relay between two connections.

mod copy;

pub use copy::relay;
