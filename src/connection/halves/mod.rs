//! The two halves of a connection: the reader, the writer, and the buffers of both.

mod any;
mod buffered;
mod chunk;
mod copy;
mod framed;
mod outgoing;
mod read_ahead;
mod reader;
mod writer;

pub use any::{AnyRead, AnyWrite};
pub use buffered::Buffered;
pub use chunk::Chunk;
pub use framed::Frames;
pub(super) use outgoing::Pump;
pub use read_ahead::ReadAhead;
pub(super) use read_ahead::taken;
pub use reader::Reader;
pub use writer::Writer;
