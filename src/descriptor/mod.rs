//! Halves over any descriptor: pipes, terminals, devices and sockets by readiness, files on the
//! blocking pool.

mod nature;
mod pool;
#[cfg(not(all(target_os = "linux", not(halves_portable))))]
mod portable;
mod reader;
mod writer;

#[cfg(not(all(target_os = "linux", not(halves_portable))))]
pub(crate) use portable::Watched;
pub use reader::FdReader;
pub use writer::FdWriter;

#[cfg(all(target_os = "linux", not(halves_portable)))]
pub(crate) use crate::reactor::Watched;
