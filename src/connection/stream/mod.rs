//! Streams that are both reader and writer, and writers that are flushed when they are closed.

mod flush_on_close;
mod join;
mod layer;
mod split;

pub(crate) use flush_on_close::flush_on_close;
pub use join::Joined;
pub use split::{ReadHalf, WriteHalf, split};
