//! One stream that is both reader and writer, and writers that must be flushed at their end.

mod flush_on_close;
mod layer;
mod shared;
mod split;

pub(crate) use flush_on_close::flush_on_close;
pub(super) use shared::WakerPair;
pub use split::{ReadHalf, WriteHalf, split};
