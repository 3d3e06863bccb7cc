//! How a stream ends: in order, or by a reset.

mod guard;
mod linger;
mod link;

pub(crate) use guard::{Ownership, SocketGuard};
pub(crate) use linger::{DiscardBudget, Linger};
pub use link::Link;
pub(super) use link::is_gone;
