//! Relays: between two connections, and from each connection to one of several targets.

mod connecting;
mod copy;
mod direction;
#[cfg(target_os = "linux")]
mod handover;
mod health;
mod serving;
mod settings;
mod target;

pub use copy::{TruncatedResets, relay};
#[cfg(target_os = "linux")]
pub use handover::{HandedOver, Handover, HandoverListener};
pub use settings::{Balance, Health, Relay};
pub use target::Target;
