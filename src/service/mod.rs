//! Handlers that come with Halves. They know halves, and nothing of what is beneath.

mod discard;
mod echo;
mod transform;
mod upper;

pub use discard::discard;
pub use echo::echo;
pub use upper::{Upper, upper};
