//! The two halves of a connection: the reader, the writer, and the buffers of both.

mod any;
mod buffered;
mod chunk;
mod drain;
mod framed;
mod read_ahead;
mod reader;
mod write_queue;
mod writer;

pub use any::{AnyRead, AnyWrite};
pub use buffered::Buffered;
pub use chunk::Chunk;
pub use framed::Frames;
pub use read_ahead::ReadAhead;
pub(super) use read_ahead::reads_beneath;
pub use reader::Reader;
pub use writer::Writer;
