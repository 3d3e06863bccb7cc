//! Relays: between two connections, and from each connection to one of several targets.

mod connecting;
mod copy;
mod direction;
mod health;
mod serving;
mod settings;
mod target;

pub use copy::{TruncatedResets, relay};
pub use settings::{Balance, Health, Relay};
pub use target::Target;
