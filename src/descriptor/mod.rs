//! Halves over any descriptor: pipes, terminals, devices and sockets by readiness, files on the
//! blocking pool.

mod kind;
mod pool;
mod reader;
mod writer;

pub(crate) use kind::FileId;
pub use reader::FdReader;
pub use writer::FdWriter;
