//! Child processes as halves: what one writes is read, what is written it reads.
//!
//! ```
//! use futures_lite::{AsyncReadExt, AsyncWriteExt};
//! use halves::process::Command;
//!
//! # smol::block_on(async {
//! let (mut connection, child) = Command::new("tr").args(["a-z", "A-Z"]).connect()?;
//! connection.writer.write_all(b"hello").await?;
//! connection.writer.close().await?;
//! let mut answer = String::new();
//! connection.reader.read_to_string(&mut answer).await?;
//! assert_eq!(answer, "HELLO");
//! assert!(child.wait().await?.success());
//! # std::io::Result::Ok(()) }).unwrap();
//! ```
//!
//! # What a child is given
//!
//! A process group of its own, so that it can be ended with all that it has started. No descriptor
//! that Halves or the standard library has opened but its standard streams, as all others are closed
//! on exec; what this process was started with, and has not taken over, is passed on. Signals as every program expects them: none is blocked, and `SIGPIPE`, which
//! Rust programs ignore, ends it. Its standard error is ours, unless the
//! [`std::process::Command`] says otherwise; where that is a pipe, it is read from
//! [`Child::stderr`], and where nobody reads, it is the child that waits, and no one else.
//!
//! # How it ends
//!
//! | | the child |
//! |---|---|
//! | the writer is closed | reads the end of its input |
//! | the connection ends in order | the same; what it still says is discarded, up to 1 MiB, and its exit awaited, for as long as the server is patient; then it is killed |
//! | the connection is reset, or dropped | is killed, with all processes of its group |
//! | [`Child::kill`] | the same |
//!
//! A connection that is dropped outside a server leaves its child to the [`Child`], if that is
//! still held. With the last of the two the child is killed, if it still runs, and a thread of the
//! blocking pool sees that nothing is left of it. So it is when an executor or a whole runtime ends
//! first, as neither has a part in this. (A process that exits kills nobody: its children then read
//! the end of their input.)
//!
//! A child that has exited is not forgotten by the system before its [`Child`] and its connection
//! are dropped: so its number, and that of its group, mean nobody else until then. Processes that it
//! left behind when it exited by itself are not touched, unless the connection is reset. (Where the
//! program ignores `SIGCHLD`, or waits for all of its children elsewhere, the system forgets it at
//! once: then it is not killed any more, nor are those that it left behind.)
//!
//! # How an exit is heard of
//!
//! On Linux by a descriptor of the process (see `pidfd_open(2)`) that is watched as any other.
//! Elsewhere, and where a kernel before 5.3 or a sandbox refuses that, by a thread of the blocking
//! pool for each child that is waited for. There is no handler of `SIGCHLD`, and children that
//! others in the program have started are not waited for. (A program that ignores `SIGCHLD` has the
//! system forget how its children exited: [`Child::wait`] is then an error.)
//!
//! # As process 1
//!
//! See [`reap_orphans`] and [`reap_all_orphans`].

mod before_exec;
mod child;
mod command;
mod exit;
mod link;
mod orphans;

pub use child::Child;
pub use command::Command;
pub use orphans::{reap_all_orphans, reap_orphans};
