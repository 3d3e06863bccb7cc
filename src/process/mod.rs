//! Child processes as connections: the reader reads the child's output, the writer writes its
//! input.
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
//! # Attributes of a child
//!
//! * A process group of its own, so that the child can be killed together with its descendants.
//! * No descriptors of this process but its standard streams: Halves and the standard library open
//!   all others close-on-exec. Inherited descriptors that were not taken over are passed on.
//! * Default signals: none is blocked, and `SIGPIPE`, which Rust programs ignore, ends the child.
//! * The standard error of this process, unless the [`std::process::Command`] sets another one. If
//!   that is a pipe, read it from [`Child::stderr`]; a child that fills an unread pipe blocks.
//!
//! # The end of a child
//!
//! | event | effect on the child |
//! |---|---|
//! | the writer is closed | it reads the end of its input |
//! | the connection ends in order | it reads the end of its input; its output is discarded, up to 1 MiB, and its exit awaited within the server's time limits; then it is killed |
//! | the connection is reset, or dropped by a server | it is killed, with its process group |
//! | [`Child::kill`] | it is killed, with its process group |
//!
//! If a connection is dropped outside a server, its child runs on while the [`Child`] exists. When
//! both are dropped, the child is killed if it still runs, and a thread of the blocking pool reaps
//! it. This does not need an executor or a runtime. (The exit of this process kills no child: its
//! children then read the end of their input.)
//!
//! A child that has exited is reaped when its [`Child`] and its connection are dropped, so its
//! process id and its group id are not reused before. Descendants that outlive a child are killed
//! only if the connection is reset. (If this program ignores `SIGCHLD`, or waits for all its
//! children elsewhere, the system reaps the child at once: then the group is no longer killed.)
//!
//! # Waiting for an exit
//!
//! On Linux a pidfd (see `pidfd_open(2)`) is watched for readiness. On other systems, and if a
//! kernel before 5.3 or a sandbox refuses that, a thread of the blocking pool waits for each child.
//! There is no handler of `SIGCHLD`, and children that other code of the program has started are
//! not waited for. (If the program ignores `SIGCHLD`, the system discards exit statuses and
//! [`Child::wait`] returns an error.)
//!
//! # Process 1
//!
//! A program that is process 1 of a container runs [`reap_orphans`] or [`reap_all_orphans`].

mod before_exec;
mod child;
mod child_process;
mod command;
#[cfg_attr(not(target_os = "linux"), path = "dispositions_portable.rs")]
mod dispositions;
mod exit;
mod link;
mod orphans;
mod program;
#[cfg_attr(not(target_os = "linux"), path = "start_portable.rs")]
mod start;
#[cfg(target_os = "linux")]
mod syscall;
mod waitid;

pub use child::Child;
pub use command::Command;
pub use orphans::{reap_all_orphans, reap_orphans};
pub(crate) use program::{Program, Started, StartedRef, name_of, variable};
