//! The two halves of a connection: the reader, the writer, and the buffers of both.

mod any;
mod buffered;
mod chunk;
mod drain;
mod framed;
mod reader;
mod splice;
mod wire;
mod write_queue;
mod writer;

pub use any::{AnyRead, AnyWrite};
pub use buffered::Buffered;
pub(crate) use chunk::CHUNK_BYTES;
pub use chunk::Chunk;
pub use framed::Frames;
pub use reader::Reader;
pub(super) use wire::reads_beneath;
pub use wire::{WireReader, WireWriter};
pub use writer::Writer;
