//! A runtime-agnostic async stream server over smol.

mod address;
mod connection;
mod error;
mod executor;
pub mod listener;
mod server;
pub mod service;
mod shutdown;
mod spawn;
mod stats;
mod time;

pub use address::Address;
pub use connection::{AnyRead, AnyWrite, Connection, Endpoint, Link, Peer, Reader, Writer};
pub use error::Error;
pub use executor::Executor;
pub use listener::{Listener, Listeners, Once, bind, connect, files, stdio};
pub use server::{Closed, Event, Handle, Limit, Report, Server, Serving, serve};
pub use shutdown::Shutdown;
pub use spawn::{Spawn, spawn_fn};
pub use stats::{Ended, Reason, Stats};
pub use time::{Clock, Manual, Sleep, unix_time};
