//! Limits: rules of access, the share of one source, and the time that a connection may take.

mod rules;
mod sources;
mod timeouts;

pub use rules::{Net, Rules};
pub(crate) use sources::Accounts;
pub use sources::Sources;
pub use timeouts::Timeouts;
