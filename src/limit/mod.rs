//! Who may connect, and how much of the server one source may have.

mod rules;
mod sources;

pub use rules::{Net, Rules};
pub(crate) use sources::Accounts;
pub use sources::Sources;
