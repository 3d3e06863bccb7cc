//! Serve any byte stream: one handler over two halves, on any transport and any async runtime.
//!
//! ```text
//! Executor                              runs tasks: ours, smol's, or any runtime's
//! └─ accept loop                        `serve`, on an `async_net::TcpListener` or any other Listener
//!    └─ a task per connection           panics stay in it, and it ends the stream well
//!       └─ your handler                 an async fn or closure: Connection → io::Result<()>
//!          └─ two halves                Reader: AsyncRead, Writer: AsyncWrite
//! ```
//!
//! # A first server
//!
//! It answers in capital letters, on smol's own listener:
//!
//! ```no_run
//! use futures_lite::{AsyncReadExt, AsyncWriteExt};
//! use halves::{Connection, Executor, serve};
//!
//! fn main() -> std::io::Result<()> {
//!     let ex = Executor::new();
//!     ex.block_on(async {
//!         let listener = async_net::TcpListener::bind("127.0.0.1:50007").await?;
//!         serve(&ex, listener, async |Connection { mut reader, mut writer, .. }| {
//!             let mut buf = [0; 1024];
//!             loop {
//!                 let n = reader.read(&mut buf).await?;
//!                 if n == 0 {
//!                     return Ok(());
//!                 }
//!                 buf[..n].make_ascii_uppercase();
//!                 writer.write_all(&buf[..n]).await?;
//!             }
//!         })
//!         .await
//!     })?;
//!     Ok(())
//! }
//! ```
//!
//! The same service comes with Halves as [`service::upper`], and [`bind`] takes an address as a
//! person writes it, which may be a TCP port, a Unix socket, or standard input and output. With a
//! limit, and an end that TERM or Ctrl-C begins and ten seconds bound, it is:
//!
//! ```no_run
//! use halves::{Connection, Executor, Server, Shutdown, bind};
//! use halves::service::upper;
//! use std::time::Duration;
//!
//! fn main() -> std::io::Result<()> {
//!     let ex = Executor::new();
//!     let listener = ex.block_on(bind("127.0.0.1:50007"))?;
//!     let server = Server::default()
//!         .max_connections(1000)
//!         .drain_timeout(Duration::from_secs(10))
//!         .shutdown(Shutdown::on_signals()?);
//!     let handler = async |Connection { reader, writer, .. }| upper(reader, writer).await;
//!     let report = ex.block_on(server.serve(&ex, listener, handler))?;
//!     assert_eq!(report.aborted, 0, "everybody was done in time");
//!     Ok(())
//! }
//! ```
//!
//! [`Server::serve`] is the whole contract: who owns and closes what, which errors are retried and
//! for how long, and how it ends.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | [address](Address) | where to listen or connect, as a person writes it: `127.0.0.1:50007`, `/run/x.sock`, `-` |
//! | [listener](Listener) | yields connections |
//! | [connection](Connection) | two halves, the peer, and what is known of them |
//! | halves | [`Reader`] and [`Writer`]: an `AsyncRead` and an `AsyncWrite`, whatever is beneath |
//! | handler | what you write: an async fn or closure from a connection to `io::Result<()>` |
//! | [`service`] | a handler that comes with Halves: `upper`, `echo`, `discard` |
//! | [server](Server) | the accept loop with its limits and its end |
//! | executor | runs tasks; [`Executor`] is our small one, [`Spawn`] the seam for any other |
//! | drain | accept no more, let connections finish, cut what is left at the deadline, report |
//!
//! # Where things are
//!
//! | to | see |
//! |---|---|
//! | serve | [`serve`]; [`Server`] for its settings, [`Handle`] for a hold on it while it runs; [`Server::serve_while`] within something else |
//! | listen and connect | [`bind`], [`connect`], [`Address`]; [`Listeners`] for several at once |
//! | take over what the process was started with | [`listener::inherited`]; [`Listeners`] from an `OwnedFd` |
//! | know whose process a client is | [`Peer::credentials`], on Unix sockets |
//! | serve what is not a socket | [`listener::stdio`], [`listener::files`], [`listener::fifos`], [`listener::device`], [`process`], [`listener::memory`]; [`Once`] for any two halves, [`descriptor::FdReader`] and [`descriptor::FdWriter`] for any two descriptors |
//! | know what a stream can do | [`listener`]: half-close, end and reset of each |
//! | write without waiting, up to a mark | [`Writer::buffered`], [`connection::Buffered`] |
//! | put a layer on a stream | [`Connection::upgrade`], [`Connection::into_parts`], [`Connection::from_stream`], [`connection::split`] |
//! | write a handler | [`Connection`], [`Reader::read_or_drain`], [`Peer`] |
//! | read lines, messages, so many bytes | [`Reader::line`], [`until`](Reader::until), [`exactly`](Reader::exactly), [`frame`](Reader::frame), [`frames`](Reader::frames) |
//! | write a listener | [`Listener`], [`connection::Link`] for how its streams end |
//! | bound what clients may take | [`Server::max_connections`], [`limits::Sources`], [`limits::Rules`], [`Timeouts`] |
//! | end, and know how it ended | [`Shutdown`], [`Report`], [`Reason`], [`stats::Stats`] |
//! | hear what happens | [`Server::on_event`], [`Event`]; the library itself writes nowhere; [`escape`] for lines of a log |
//! | run elsewhere | [`Spawn`], [`spawn_fn`] |
//! | test | [`listener::memory`], [`Clock::manual`] |
//! | come from asyncio | [`asyncio`], call by call |
//!
//! # Any runtime
//!
//! A server is a plain future. What runs its tasks is given to it: an [`Executor`], one of smol's,
//! by reference or in an `Rc` or `Arc`, or a closure that spawns. On a local executor handlers need
//! not be `Send`.
//!
//! ```
//! use futures_lite::io::empty;
//! use halves::{Connection, Executor, Once, serve, spawn_fn};
//! use halves::service::echo;
//! # let listener = || Once::new(Connection::new(empty(), vec![]));
//! # let handler = async |Connection { reader, writer, .. }| echo(reader, writer).await;
//!
//! let ex = Executor::new();
//! ex.block_on(serve(&ex, listener(), handler))?;
//!
//! let ex = smol::LocalExecutor::new();
//! smol::block_on(ex.run(serve(&ex, listener(), handler)))?;
//!
//! let on_async_std = spawn_fn(|task| drop(async_std::task::spawn(task)));
//! async_std::task::block_on(serve(on_async_std, listener(), handler))?;
//!
//! let tokio = tokio::runtime::Runtime::new()?;
//! let on_tokio = spawn_fn(|task| drop(tokio::spawn(task)));
//! tokio.block_on(serve(on_tokio, listener(), handler))?;
//! # std::io::Result::Ok(())
//! ```
//!
//! The reactor of the thread that polls a socket watches it: that of an [`Executor`] on Linux; with the
//! feature `tokio`, the driver of the tokio runtime; everywhere else async-io, which a thread of its own
//! drives where the runtime does not. Sleeps of a [`Clock`] are there as well. With the feature `tokio`,
//!
//! * `tokio::net::TcpListener` and `tokio::net::UnixListener` are listeners,
//! * a runtime without `enable_io` is an [`Unsupported`](std::io::ErrorKind::Unsupported) error of each
//!   call that has to wait, beside the message of tokio's panic on standard error,
//! * a [`time::Sleep`] panics in a runtime without `enable_time`, and in one that has ended,
//! * a socket goes on when its runtime ends, or when it is polled outside: with the reactor of an
//!   [`Executor`], or with async-io for good. A sleep goes on wherever it is polled.
//! * Sockets and sleeps wait while nothing drives the runtime of the thread, as tokio's own do: within
//!   `smol::block_on` in a task of a runtime with one thread, for example, and elsewhere than on Linux
//!   within [`Executor::block_on`].
//!
//! docs/runtimes.md has what each runtime costs.
//!
//! # Cancel safety
//!
//! A future may be dropped at any await, and what was not returned has not been taken:
//! [`Listener::accept`], [`Reader::read_or_drain`] and plain reads, the calls that read in frames
//! ([`Reader::line`] and its like), those of a [`connection::Buffered`] writer but [`connection::Buffered::into_inner`], [`bind`],
//! [`connect`], [`Shutdown::requested`] and every sleep can be raced against others and made again. futures-lite's operations that move several pieces cannot:
//! after a cancelled `read_exact`, `read_line` or `write_all` nobody knows how much has passed, and the
//! connection is best ended. Dropping the future of [`serve`] drops the
//! listener and resets every connection.
//!
//! # Panics
//!
//! A handler that panics, wherever it does so, resets its own connection, which then ends with
//! [`Reason::Panic`] and the message in [`server::Closed::error`]; the server and the other connections go
//! on. (With `panic = "abort"` there is nothing left to go on.) The library itself panics only where
//! a function's own documentation says so, and never on input, on a peer that is gone, or on an
//! error of the system while it serves.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `cli` | yes | the command `halves`, and with it argh, humantime and sd-notify; nothing to the library |
//! | `tokio` | no | tokio watches the sockets and sleeps of its tasks, and its listeners are served |
//!
//! A library user writes `default-features = false`.

pub mod address;
mod blocking;
mod catch;
pub mod connection;
pub mod descriptor;
pub mod duration;
mod error;
pub mod escape;
pub mod executor;
pub mod framing;
pub mod limits;
pub mod listener;
mod polling;
pub mod process;
#[cfg_attr(
    not(all(target_os = "linux", not(halves_portable))),
    path = "reactor/portable.rs"
)]
mod reactor;
mod reason;
pub mod server;
pub mod service;
mod shutdown;
mod signals;
mod spawn;
pub mod stats;
mod sync;
pub mod time;
mod waiting;

pub use address::Address;
pub use connection::{Chunk, Connection, Endpoint, Peer, Reader, Writer};
pub use error::Error;
pub use executor::{Executor, Spawn, spawn_fn};
pub use limits::Timeouts;
pub use listener::{Listener, Listeners, Once, bind, connect};
pub use reason::Reason;
pub use server::{Event, Handle, Report, Server, serve};
pub use shutdown::Shutdown;
#[doc(hidden)]
pub use signals::Signals;
pub use time::Clock;

/// asyncio's streams, call by call. This is a page to read: the module is only in the documentation.
///
#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/asyncio.md")]
pub mod asyncio {}

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The examples of docs/testing.md are compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/testing.md")]
struct Testing;
