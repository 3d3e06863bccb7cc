//! The service manager's socket: where it is, and sending to it without holding up anyone.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use smol::Async;

/// Datagrams to the service manager. (The sender of the crate sd-notify blocks its thread while
/// the manager is busy, needs a free descriptor for each message, and takes the name of an
/// abstract socket for a file's.)
#[derive(Debug)]
pub(super) struct Socket {
    address: SocketAddr,
    /// Kept open: when descriptors run out, the watchdog must hear of us all the same.
    open: Option<Async<UnixDatagram>>,
}

impl Socket {
    /// `name` is as `NOTIFY_SOCKET` has it: a path, or `@` and the name of an abstract socket.
    pub(super) fn new(name: &OsStr) -> io::Result<Self> {
        let address = address(name)?;
        Ok(Self {
            open: connect(&address).ok(),
            address,
        })
    }

    /// Waits while the manager has no room for more.
    pub(super) async fn send(&mut self, message: &str) -> io::Result<()> {
        if let Some(open) = &self.open
            && open.send(message.as_bytes()).await.is_ok()
        {
            return Ok(());
        }
        // The manager may have begun anew, with another socket in the same place.
        self.open = None;
        let socket = connect(&self.address)?;
        socket.send(message.as_bytes()).await?;
        self.open = Some(socket);
        Ok(())
    }
}

fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(name)
        }
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "neither a path nor a name after @",
        )),
    }
}

fn connect(address: &SocketAddr) -> io::Result<Async<UnixDatagram>> {
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(address)?;
    Async::new(socket)
}
