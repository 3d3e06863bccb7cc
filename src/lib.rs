//! Serve any byte stream: one handler over two halves, on any transport and any async runtime.
//!
//! ```text
//! Executor                    runs tasks: Halves' own, smol's, or that of another runtime
//! └─ accept loop              `serve`, on an `async_net::TcpListener` or any other Listener
//!    └─ a task per connection catches panics, and closes the stream after the handler
//!       └─ your handler       an async fn or closure: Connection → io::Result<()>
//!          └─ two halves      Reader: AsyncRead, Writer: AsyncWrite
//! ```
//!
//! # A first server
//!
//! This server answers in capital letters, on smol's own listener:
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
//! The next server uses the built-in service [`service::upper`], and [`bind`], which takes the
//! address of a TCP port, a Unix socket, or standard input and output. It has a limit of
//! connections, and a drain of at most ten seconds after TERM or Ctrl-C:
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
//!     assert_eq!(report.aborted, 0, "all connections finished in time");
//!     Ok(())
//! }
//! ```
//!
//! [`Server::serve`] has the whole contract: ownership, retries after errors, and the end.
//!
//! # Terms
//!
//! | term | meaning |
//! |---|---|
//! | [address](Address) | a place to listen on or connect to, as text: `127.0.0.1:50007`, `/run/x.sock`, `-` |
//! | [listener](Listener) | yields connections |
//! | [connection](Connection) | two halves and the peer |
//! | halves | [`Reader`] and [`Writer`]: an `AsyncRead` and an `AsyncWrite` on any transport |
//! | handler | your async fn or closure from a connection to `io::Result<()>` |
//! | [service] | a built-in handler |
//! | [server](Server) | the accept loop with its limits and its end |
//! | executor | runs tasks: [`Executor`], or any other through [`Spawn`] |
//! | drain | accept no more, let connections finish, reset the rest at the deadline, report |
//!
//! # Contents
//!
//! | topic | items |
//! |---|---|
//! | serving | [`serve`], [`Server`]; [`Server::serve_while`] for a server within other code |
//! | runtime control | [`Handle`]: statistics, connections, rules, the end |
//! | addresses | [`bind`], [`connect`], [`Address`]; [`Listeners`] for several at once |
//! | clients | [`connect`]; [`ConnectOptions`] for a timeout, a source address and TLS |
//! | inherited sockets | [`listener::inherited`]; [`Listeners`] from an `OwnedFd` |
//! | streams other than sockets | [`listener::stdio`], [`listener::files`], [`listener::fifos`], [`listener::device`], [`process`], [`listener::memory`]; [`Once`] for any two halves, [`descriptor::FdReader`] and [`descriptor::FdWriter`] for any two descriptors |
//! | abilities of each stream | [`listener`]: half-close, end and reset |
//! | handlers | [`Connection`], [`Peer`], [`Reader::read_or_drain`]; [`Peer::credentials`] on Unix sockets |
//! | frames | [`Reader::line`], [`until`](Reader::until), [`exactly`](Reader::exactly), [`frame`](Reader::frame), [`frames`](Reader::frames) |
//! | buffered writes | [`Writer::buffered`], [`connection::Buffered`] |
//! | layers on a stream | [`Connection::upgrade`], [`Connection::into_parts`], [`Connection::from_stream`], [`connection::split`] |
//! | clients behind load balancers | [`proxy_protocol`] |
//! | custom listeners | [`Listener`], [`connection::Link`] for the end of their streams |
//! | limits | [`Server::max_connections`], [`limits::Sources`], [`limits::Rules`], [`Timeouts`] |
//! | the end | [`Shutdown`], [`Report`], [`Reason`], [`stats::Stats`] |
//! | events | [`Server::on_event`], [`Event`]; [`escape`] for lines of a log |
//! | other executors | [`Spawn`], [`spawn_fn`] |
//! | tests | [`listener::memory`], [`Clock::manual`] |
//! | asyncio | [`asyncio`]: its streams, call by call |
//!
//! # Any runtime
//!
//! A server is a plain future. Its tasks run on the executor that it is given: an [`Executor`], one
//! of smol's (by reference, or in an `Rc` or `Arc`), or a closure that spawns. On a local executor,
//! handlers need not be `Send`.
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
//! The thread that polls a socket or a sleep chooses the reactor that watches it: the reactor of an
//! [`Executor`] on Linux; with the feature `tokio`, the driver of the tokio runtime; everywhere
//! else async-io. The threads of smol and async-std drive async-io; on other runtimes, a thread of
//! its own does.
//!
//! The feature `tokio` also makes listeners of `tokio::net::TcpListener` and
//! `tokio::net::UnixListener`. The tokio runtime needs `enable_io` and `enable_time`;
//! docs/runtimes.md has the errors without them, and the cost of each runtime.
//!
//! # Cancel safety
//!
//! The future of a cancel-safe call may be dropped at any await: bytes and connections that it has
//! not returned are not lost, and the call may be repeated. Cancel-safe are [`Listener::accept`],
//! [`Reader::read_or_drain`] and plain reads, the frame readers ([`Reader::line`] and the like),
//! the calls of a [`connection::Buffered`] writer except [`connection::Buffered::into_inner`],
//! [`bind`], [`connect`], [`ConnectOptions::connect`], [`Shutdown::requested`], and every sleep.
//!
//! The calls of futures-lite that move several pieces are not cancel-safe: after a cancelled
//! `read_exact`, `read_line` or `write_all`, an unknown number of bytes has passed, and the
//! connection should be closed. Dropping the future of [`serve`] drops the listener and resets
//! every connection.
//!
//! # Panics
//!
//! A handler that panics resets its own connection, which ends with [`Reason::Panic`] and the
//! message in [`server::Closed::error`]. The server and the other connections go on, except with
//! `panic = "abort"`. The library itself panics only where the documentation of a function says so.
//! It never panics because of input, a lost peer, or an error of the system while it serves.
//!
//! # No built-in logging
//!
//! The library writes no log. [`Server::on_event`] passes each [`Event`] to a function of yours.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `cli` | yes | the command `halves`, with argh, humantime and sd-notify; in the library, `testing` and `tls` |
//! | `testing` | no | the module `testing`: simulation, records and replays; with humantime |
//! | `tls` | no | the module `tls`, with rustls, ring and x509-cert |
//! | `tokio` | no | tokio's reactor for sockets and sleeps in its tasks, and its listeners |
//!
//! Programs that use only the library set `default-features = false`.

pub mod address;
mod blocking;
mod catch;
mod connect;
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
pub mod proxy_protocol;
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
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
#[cfg(feature = "tls")]
pub mod tls;
mod waker_slot;

pub use address::Address;
pub use connect::{ConnectOptions, ConnectTimings, connect};
pub use connection::{Chunk, Connection, Endpoint, Peer, Reader, Writer};
pub use error::Error;
pub use executor::{Executor, Spawn, spawn_fn};
pub use limits::Timeouts;
pub use listener::{Listener, Listeners, Once, bind};
pub use reason::Reason;
pub use server::{Event, Handle, Report, Server, serve};
pub use shutdown::Shutdown;
#[doc(hidden)]
pub use signals::Signals;
pub use time::Clock;

/// asyncio's streams, call by call. The module exists in the documentation only.
///
#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/asyncio.md")]
pub mod asyncio {}

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Compiles the examples of docs/tls.md.
#[cfg(all(doctest, feature = "tls"))]
#[doc = include_str!("../docs/tls.md")]
struct Tls;

/// Compiles the examples of docs/records.md.
#[cfg(doctest)]
#[doc = include_str!("../docs/records.md")]
struct Records;

/// Compiles the examples of docs/testing.md.
#[cfg(doctest)]
#[doc = include_str!("../docs/testing.md")]
struct Testing;
