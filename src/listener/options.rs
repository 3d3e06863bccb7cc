//! How the options of TCP reach its sockets.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io::Result;
use rustix::net::sockopt;

use crate::address::ListenOptions;

/// After so many probes without an answer, the kernel ends the connection.
#[cfg(not(any(target_os = "haiku", target_os = "nto", target_os = "openbsd")))]
const PROBES: u32 = 3;

impl ListenOptions {
    /// Sets what concerns connections: on a connection, or on a socket before it listens, from which
    /// the connections that it accepts inherit it. An error for what is no TCP socket, and for a
    /// connection that is gone.
    pub(super) fn apply(&self, socket: impl AsFd) -> Result<()> {
        sockopt::set_tcp_nodelay(&socket, !self.nagle)?;
        if self.keepalive > 0 {
            sockopt::set_socket_keepalive(&socket, true)?;
            set_keepalive(&socket, Duration::from_secs(self.keepalive.into()))?;
        }
        Ok(())
    }
}

#[cfg(not(any(target_os = "haiku", target_os = "nto", target_os = "openbsd")))]
fn set_keepalive(socket: impl AsFd, idle: Duration) -> Result<()> {
    sockopt::set_tcp_keepidle(&socket, idle)?;
    sockopt::set_tcp_keepintvl(&socket, idle)?;
    sockopt::set_tcp_keepcnt(&socket, PROBES)
}

/// These systems have one setting for all sockets.
#[cfg(any(target_os = "haiku", target_os = "nto", target_os = "openbsd"))]
#[allow(clippy::unnecessary_wraps, reason = "as on other systems")]
fn set_keepalive(_: impl AsFd, _: Duration) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::{BorrowedFd, OwnedFd};

    use futures_lite::future;
    use smol::block_on;

    use super::*;
    use crate::connection::Connection;
    use crate::listener::given::given;
    use crate::listener::{Listener, Listeners, bind, connect};

    /// Whether a connection sends without delay, and after how long a silence its peer is probed.
    fn set<R, W>(connection: &Connection<R, W>) -> (bool, Option<Duration>) {
        let ask = |fd: BorrowedFd<'_>| {
            let is_probed = sockopt::socket_keepalive(fd)?;
            let idle = is_probed.then(|| sockopt::tcp_keepidle(fd)).transpose()?;
            Ok((sockopt::tcp_nodelay(fd)?, idle))
        };
        let asked: Option<Result<_>> = connection.peer.record().with_fd(ask);
        asked.expect("TCP has a descriptor").expect("it is TCP")
    }

    fn accepted(mut listeners: Listeners) -> io::Result<(bool, Option<Duration>)> {
        let at = listeners.local_addrs()[0].to_string();
        let (_near, far) = block_on(future::try_zip(connect(at), listeners.accept()))?;
        Ok(set(&far.expect("one has connected")))
    }

    #[test]
    fn connections_have_the_options_of_their_listener() -> io::Result<()> {
        for (text, nodelay, idle) in [
            ("127.0.0.1:0", true, None),
            ("127.0.0.1:0,nagle", false, None),
            ("127.0.0.1:0,keepalive=7s", true, Some(7)),
        ] {
            let expected = (nodelay, idle.map(Duration::from_secs));
            assert_eq!(accepted(block_on(bind(text))?)?, expected, "{text}");
        }
        Ok(())
    }

    #[test]
    fn so_have_those_of_a_listener_that_was_handed_over() -> io::Result<()> {
        let options = ListenOptions::default().keepalive(Duration::from_secs(7));
        for (options, expected) in [
            (ListenOptions::default(), (true, None)),
            (options.nagle(true), (false, Some(Duration::from_secs(7)))),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let at = listener.local_addr()?;
            let listeners = given(OwnedFd::from(listener.try_clone()?), &options)?;
            assert_eq!(accepted(listeners.into())?, expected);
            // And a connection.
            let _client = TcpStream::connect(at)?;
            let (served, _) = listener.accept()?;
            let mut once = Listeners::from(given(served.into(), &options)?);
            let connection = block_on(once.accept())?.expect("the connection");
            assert_eq!(set(&connection), expected);
        }
        Ok(())
    }

    #[test]
    fn a_unix_socket_has_no_options_of_tcp() -> io::Result<()> {
        let (socket, _peer) = std::os::unix::net::UnixStream::pair()?;
        let options = ListenOptions::default().nagle(true);
        let error = given(socket.into(), &options).err().expect("it is no TCP");
        assert_eq!(error.to_string(), "keepalive and nagle are for TCP");
        Ok(())
    }

    #[test]
    fn what_is_connected_and_what_others_accept_sends_without_delay() -> io::Result<()> {
        block_on(async {
            let mut listener = async_net::TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?.to_string();
            let accept = Listener::accept(&mut listener);
            let (near, far) = future::try_zip(connect(address), accept).await?;
            assert_eq!(set(&near), (true, None));
            assert_eq!(set(&far.expect("one has connected")), (true, None));
            Ok(())
        })
    }

    /// The kernel adds one to the number.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_backlog_is_as_long_as_it_is_said() -> io::Result<()> {
        use rustix::net::{AddressFamily, getpeername};

        let listeners = block_on(bind("127.0.0.1:0,backlog=1"))?;
        let at = listeners.local_addrs()[0].socket_addr().expect("TCP");
        let _waiting = [TcpStream::connect(at)?, TcpStream::connect(at)?];
        let third = crate::listener::socket::stream(AddressFamily::INET)?;
        let connected = rustix::net::connect(&third, &at);
        assert_eq!(connected, Err(rustix::io::Errno::INPROGRESS));
        assert_eq!(getpeername(&third), Err(rustix::io::Errno::NOTCONN));
        Ok(())
    }

    #[test]
    fn a_port_is_shared_by_those_who_say_so() -> io::Result<()> {
        let first = block_on(bind("127.0.0.1:0,reuse-port"))?;
        let at = first.local_addrs()[0].to_string();
        block_on(bind(&*at)).expect_err("this one does not");
        block_on(bind(format!("{at},reuse-port")))?;
        Ok(())
    }
}
