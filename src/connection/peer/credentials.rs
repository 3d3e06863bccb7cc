//! The credentials of the process at the other end of a Unix socket.

use std::os::fd::BorrowedFd;

/// The credentials of the process at the other end of a Unix socket, as the kernel recorded them.
///
/// For a client they are those of the process that connected; for a server, those of the process
/// that called `listen`. That process may have ended or passed its socket on since, and its ID may
/// belong to another process by now. Base access decisions on the user and the group.
///
/// # Examples
///
/// A handler that accepts the server's own user and root:
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
    /// The process ID. `None` if the system does not report it, or if the process is in a PID
    /// namespace that is not visible from this one.
    pub pid: Option<u32>,
    /// The effective user ID. If the user has no ID in this user namespace, this is the overflow
    /// user ID 65534.
    pub uid: u32,
    /// The effective group ID, with the same overflow ID.
    pub gid: u32,
}

impl Credentials {
    /// Makes credentials from IDs, for a listener that has them from another source.
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

    /// Asks the kernel for the peer's credentials. `None` if the socket is not a connected Unix
    /// socket.
    #[cfg(target_os = "linux")]
    pub(crate) fn of(socket: BorrowedFd<'_>) -> Option<Self> {
        // rustix has this call, too, but its process ID cannot be 0, which the kernel reports for
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
