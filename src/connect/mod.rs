//! Connections to an address: names, several addresses of one name, timeouts, TLS.

mod options;
mod race;
mod stages;
mod tcp;
mod timings;
#[cfg(feature = "tls")]
mod tls;
mod unix;

use std::io;

use crate::address::Address;
use crate::connection::Connection;
use crate::error::Error;

pub use options::ConnectOptions;
pub use timings::ConnectTimings;

/// Connects to an address, with the default [`ConnectOptions`]: without a timeout and without TLS.
///
/// A host name with several addresses is tried as
/// [`ConnectOptions::connect`] describes. `-` is the standard input and output of this process,
/// `fd:N` an inherited connection.
///
/// Cancel-safe: a dropped future leaves no connection behind.
///
/// # Errors
///
/// [`Error::Address`] if the text is not an address, [`Error::Resolve`] if its name cannot be
/// resolved, [`Error::Connect`] for an error of the system, each inside an [`io::Error`] of the
/// same kind.
///
/// # Examples
///
/// ```
/// # smol::block_on(async {
/// let listeners = halves::bind("127.0.0.1:0").await?;
/// let port = listeners.local_addrs()[0].socket_addr().unwrap().port();
/// let connection = halves::connect(format!("127.0.0.1:{port}")).await?;
/// assert_eq!(connection.peer.endpoint(), listeners.local_addrs()[0]);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub async fn connect<A>(address: A) -> io::Result<Connection>
where
    A: TryInto<Address>,
    Error: From<A::Error>,
{
    ConnectOptions::new().connect(address).await
}
