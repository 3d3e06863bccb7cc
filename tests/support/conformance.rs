//! Checks of a pair of connected connections, for streams of every kind.

use std::io;

use futures_lite::{AsyncRead, AsyncWrite, future};
use halves::descriptor::{FdReader, FdWriter};
use halves::testing::{Ends, HalvesCheck};
use halves::{Connection, Listener, bind, connect};

/// More bytes than the kernel buffers for any kind of stream.
pub(crate) const LARGE_TRANSFER_BYTES: usize = 1_500_000;

/// A check for each kind of ends, that sends `long` bytes where it needs much data.
macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident: $ends:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) async fn $name<R1, W1, R2, W2>(
            long: usize,
            connect: impl AsyncFn() -> io::Result<(Connection<R1, W1>, Connection<R2, W2>)>,
        ) where
            R1: AsyncRead + Unpin,
            W1: AsyncWrite + Unpin,
            R2: AsyncRead + Unpin,
            W2: AsyncWrite + Unpin,
        {
            let check = HalvesCheck::default().bytes(long).ends(Ends::$ends);
            check.check(connect).await;
        }
    )*};
}

checks! {
    check: Each;
    /// For a layer that distinguishes its end from that of the stream beneath.
    check_layer: EachByClose;
    /// For streams that cannot end one direction alone.
    check_without_half_close: Both;
    /// For streams that outlast their users.
    check_without_end: Neither;
}

/// Checks connections to a listener on this address.
pub(crate) async fn check_address(address: &str) {
    check(LARGE_TRANSFER_BYTES, async || connected(address).await).await;
}

/// Two ends of a connection through a listener on this address.
pub(crate) async fn connected(address: &str) -> io::Result<(Connection, Connection)> {
    let mut listeners = bind(address).await?;
    let address = listeners.local_addrs()[0].to_string();
    let (near, far) = future::try_zip(connect(address), listeners.accept()).await?;
    Ok((near, far.expect("a listener of sockets does not end")))
}

/// Checks two pipes, one for each direction.
pub(crate) async fn check_pipes() {
    check(LARGE_TRANSFER_BYTES, async || pipes()).await;
}

fn pipes() -> io::Result<(Connection<FdReader, FdWriter>, Connection)> {
    let (near_reader, far_writer) = io::pipe()?;
    let (far_reader, near_writer) = io::pipe()?;
    let near = Connection::new(FdReader::new(near_reader)?, FdWriter::new(near_writer)?);
    let far = Connection::new(FdReader::new(far_reader)?, FdWriter::new(far_writer)?);
    Ok((near, far.erase()))
}
