//! Unix sockets: their files, their owners, and the names of their ends.

mod access;
mod ending;
mod file;
mod names;

use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;

use futures_lite::future;
use halves::{Connection, Listener, Listeners, bind, connect};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use smol::block_on;

use crate::support::place::dir;

fn listen(path: &Path) -> io::Result<Listeners> {
    block_on(bind(path))
}

fn kind_of(result: io::Result<Listeners>) -> io::ErrorKind {
    result.expect_err("it is taken").kind()
}

/// Both ends of a connection to a listener at `address`.
async fn pair(listeners: &mut Listeners, address: &str) -> io::Result<(Connection, Connection)> {
    let (near, far) = future::try_zip(connect(address), listeners.accept()).await?;
    Ok((near, far.expect("a listener of sockets does not end")))
}

/// A listener with room for two clients in its queue, as the system adds one.
fn backlog_of_one(path: &Path) -> io::Result<UnixListener> {
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, 1)?;
    Ok(socket.into())
}
