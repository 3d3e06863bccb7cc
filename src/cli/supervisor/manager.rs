//! The connection to the service manager. A failure to send is logged once.

use std::ffi::OsStr;
use std::fmt::Write;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use sd_notify::NotifyState;
use smol::Async;

use super::super::format::Line;
use super::super::log::{Level, Lines};

/// The service manager.
pub(super) struct Manager {
    socket: NotifySocket,
    /// The name of the socket.
    name: String,
    lines: Lines,
    /// True if the last message failed, which is logged already.
    unreachable: bool,
}

impl Manager {
    pub(super) fn from_env(lines: &Lines) -> Option<Self> {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())?;
        let manager = Self::new(&name, lines.clone());
        manager
            .inspect_err(|error| log_failure(lines, &name.to_string_lossy(), error))
            .ok()
    }

    pub(super) fn new(name: &OsStr, lines: Lines) -> io::Result<Self> {
        Ok(Self {
            socket: NotifySocket::new(name)?,
            name: name.to_string_lossy().into_owned(),
            lines,
            unreachable: false,
        })
    }

    /// Sends all states in one message. Sends nothing if there are none.
    pub(super) async fn send<'a>(&mut self, states: impl IntoIterator<Item = NotifyState<'a>>) {
        self.send_message(&message(states)).await;
    }

    pub(super) async fn send_fd(&mut self, message: &str, fd: BorrowedFd<'_>) {
        let sent = self.socket.send(message, Some(fd)).await;
        self.log(sent);
    }

    pub(super) async fn send_message(&mut self, message: &str) {
        if message.is_empty() {
            return;
        }
        let sent = self.socket.send(message, None).await;
        self.log(sent);
    }

    /// Logs the first of several failures.
    fn log(&mut self, sent: io::Result<()>) {
        let was_unreachable = std::mem::replace(&mut self.unreachable, sent.is_err());
        if let Err(error) = sent
            && !was_unreachable
        {
            log_failure(&self.lines, &self.name, &error);
        }
    }
}

pub(super) fn message<'a>(states: impl IntoIterator<Item = NotifyState<'a>>) -> String {
    let mut message = String::new();
    for state in states {
        let _ = writeln!(message, "{state}");
    }
    message
}

/// Logs a failure of the service manager. The server goes on.
fn log_failure(lines: &Lines, name: &str, error: &io::Error) {
    let line = Line::new("notify_failed")
        .word("socket", name)
        .text("error", error);
    lines.write(Level::Quiet, &line);
}

/// Sends datagrams to the service manager. (The crate sd-notify blocks its thread while the manager
/// is busy, opens a descriptor for each message, and takes the name of an abstract socket for a
/// path.)
#[derive(Debug)]
struct NotifySocket {
    address: SocketAddr,
    /// Stays open, so that watchdog messages are sent even if no descriptor is left.
    open: Option<Async<UnixDatagram>>,
}

impl NotifySocket {
    /// `name` is the value of `NOTIFY_SOCKET`: a path, or `@` and the name of an abstract socket.
    fn new(name: &OsStr) -> io::Result<Self> {
        let address = parse_name(name)?;
        Ok(Self {
            open: connect(&address).ok(),
            address,
        })
    }

    /// Sends one message. Waits while the queue of the manager is full.
    async fn send(&mut self, message: &str, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        if let Some(open) = &self.open
            && send(open, message, fd).await.is_ok()
        {
            return Ok(());
        }
        // A manager that has restarted has a new socket at the same address.
        self.open = None;
        let socket = connect(&self.address)?;
        send(&socket, message, fd).await?;
        self.open = Some(socket);
        Ok(())
    }
}

async fn send(
    socket: &Async<UnixDatagram>,
    message: &str,
    fd: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    socket
        .write_with(|socket| {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut passed = SendAncillaryBuffer::new(&mut space);
            if let Some(fd) = &fd {
                passed.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(fd)));
            }
            let message = [IoSlice::new(message.as_bytes())];
            sendmsg(socket, &message, &mut passed, SendFlags::NOSIGNAL)?;
            Ok(())
        })
        .await
}

fn parse_name(name: &OsStr) -> io::Result<SocketAddr> {
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
