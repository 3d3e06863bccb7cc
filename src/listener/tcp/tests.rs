//! Options of TCP sockets.

use std::net::{TcpListener, TcpStream};
use std::os::fd::BorrowedFd;

use smol::block_on;

use super::*;
use crate::connection::Connection;
use crate::listener::adopt::adopt;
use crate::listener::{Listener, bind};

/// Returns the `TCP_NODELAY` of a connection, and its keepalive time if that is on.
fn options_of<R, W>(connection: &Connection<R, W>) -> (bool, Option<Duration>) {
    let read = |fd: BorrowedFd<'_>| {
        let is_on = sockopt::socket_keepalive(fd)?;
        let idle = is_on.then(|| sockopt::tcp_keepidle(fd)).transpose()?;
        Ok((sockopt::tcp_nodelay(fd)?, idle))
    };
    let options: Option<rustix::io::Result<_>> = connection.peer.record().with_fd(read);
    options.expect("TCP has a descriptor").expect("it is TCP")
}

/// Connects to a listener, and returns the options of the accepted connection.
fn options_of_accepted(mut listeners: Listeners) -> io::Result<(bool, Option<Duration>)> {
    let address = listeners.local_addrs()[0].to_string();
    let _client = TcpStream::connect(address)?;
    let accepted = block_on(listeners.accept())?;
    Ok(options_of(&accepted.expect("a client has connected")))
}

#[test]
fn connections_have_the_options_of_their_listener() -> io::Result<()> {
    for (text, nodelay, idle) in [
        ("127.0.0.1:0", true, None),
        ("127.0.0.1:0,nagle", false, None),
        ("127.0.0.1:0,keepalive=7s", true, Some(7)),
    ] {
        let expected = (nodelay, idle.map(Duration::from_secs));
        let listeners = block_on(bind(text))?;
        assert_eq!(options_of_accepted(listeners)?, expected, "{text}");
    }
    Ok(())
}

#[test]
fn connections_of_a_socket_that_was_taken_over_have_its_options() -> io::Result<()> {
    let options = ListenOptions::default().keepalive(Duration::from_secs(7));
    for (options, expected) in [
        (ListenOptions::default(), (true, None)),
        (options.nagle(true), (false, Some(Duration::from_secs(7)))),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let listeners = adopt(OwnedFd::from(listener.try_clone()?), &options)?;
        assert_eq!(options_of_accepted(listeners.into())?, expected);
        // A connection that was taken over has them, too.
        let _client = TcpStream::connect(address)?;
        let (served, _) = listener.accept()?;
        let mut once = Listeners::from(adopt(served.into(), &options)?);
        let connection = block_on(once.accept())?.expect("the connection");
        assert_eq!(options_of(&connection), expected);
    }
    Ok(())
}

#[test]
fn a_unix_socket_has_no_tcp_options() -> io::Result<()> {
    let (socket, _peer) = std::os::unix::net::UnixStream::pair()?;
    let options = ListenOptions::default().nagle(true);
    let error = adopt(socket.into(), &options).err().expect("it is not TCP");
    assert_eq!(error.to_string(), "keepalive and nagle are for TCP");
    Ok(())
}

#[test]
fn sockets_of_async_net_have_nodelay() -> io::Result<()> {
    block_on(async {
        let mut listener = async_net::TcpListener::bind("127.0.0.1:0").await?;
        let _client = TcpStream::connect(listener.local_addr()?)?;
        let accepted = Listener::accept(&mut listener).await?;
        let accepted = accepted.expect("a client has connected");
        assert_eq!(options_of(&accepted), (true, None));
        Ok(())
    })
}

/// The kernel adds one to the backlog.
#[cfg(target_os = "linux")]
#[test]
fn the_backlog_option_is_set() -> io::Result<()> {
    use rustix::net::{AddressFamily, getpeername};

    let listeners = block_on(bind("127.0.0.1:0,backlog=1"))?;
    let address = listeners.local_addrs()[0].socket_addr().expect("TCP");
    let _waiting = [TcpStream::connect(address)?, TcpStream::connect(address)?];
    let third = crate::listener::socket::stream(AddressFamily::INET)?;
    let connected = rustix::net::connect(&third, &address);
    assert_eq!(connected, Err(rustix::io::Errno::INPROGRESS));
    assert_eq!(getpeername(&third), Err(rustix::io::Errno::NOTCONN));
    Ok(())
}

#[test]
fn sockets_with_reuse_port_share_a_port() -> io::Result<()> {
    let first = block_on(bind("127.0.0.1:0,reuse-port"))?;
    let address = first.local_addrs()[0].to_string();
    block_on(bind(&*address)).expect_err("without reuse-port");
    block_on(bind(format!("{address},reuse-port")))?;
    Ok(())
}
