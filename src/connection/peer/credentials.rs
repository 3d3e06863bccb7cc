//! Whose process is at the other end of a Unix socket.

use std::os::fd::BorrowedFd;

/// Whose process is at the other end of a Unix socket, as the kernel knows it: of a client, the one
/// that connected; of a server, the one that began to listen. That process may have ended since,
/// or given its socket away, and its number may be another's by now: decide by the user and the
/// group.
///
/// # Examples
///
/// A handler for the user that the server runs as, and for root:
///
/// ```
/// use halves::Connection;
/// use halves::service::echo;
/// use std::io;
///
/// async fn for_us(Connection { reader, writer, peer }: Connection) -> io::Result<()> {
///     let us = rustix::process::geteuid().as_raw();
///     match peer.credentials() {
///         Some(client) if client.uid == us || client.uid == 0 => echo(reader, writer).await,
///         _ => Err(io::ErrorKind::PermissionDenied.into()),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Credentials {
    /// The process; none where the system does not tell it, or the process is in a PID namespace
    /// that is not within ours.
    pub pid: Option<u32>,
    /// Its effective user; in a user namespace that knows no such user, the overflow user 65534.
    pub uid: u32,
    /// Its effective group, likewise.
    pub gid: u32,
}

impl Credentials {
    /// For a listener that knows them from elsewhere.
    ///
    /// # Examples
    ///
    /// ```
    /// let root = halves::connection::Credentials::new(None, 0, 0);
    /// assert_eq!(root.uid, 0);
    /// ```
    #[must_use]
    pub fn new(pid: Option<u32>, uid: u32, gid: u32) -> Self {
        Self { pid, uid, gid }
    }

    /// None: it is no Unix socket, or not connected.
    #[cfg(target_os = "linux")]
    pub(crate) fn of(socket: BorrowedFd<'_>) -> Option<Self> {
        // rustix has this too, but with a number that may not be 0, which the kernel says of
        // processes in other namespaces.
        use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
        let known = getsockopt(&socket, PeerCredentials).ok()?;
        let pid = u32::try_from(known.pid()).ok().filter(|&pid| pid != 0);
        Some(Self::new(pid, known.uid(), known.gid()))
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn of(socket: BorrowedFd<'_>) -> Option<Self> {
        let (uid, gid) = nix::unistd::getpeereid(socket).ok()?;
        Some(Self::new(None, uid.as_raw(), gid.as_raw()))
    }
}
