//! From an address to what listens there, or to a connection to it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::given::{Given, given};
use super::{Listeners, Once, inherited, stdio, tcp, unix};
use crate::address::{Access, Address};
use crate::connection::Connection;
use crate::error::Error;

/// Listens at an address, ready to be served.
///
/// A host name that means several addresses is listened on at each of them. Sockets have a
/// backlog of 4,096, and TCP connections have `TCP_NODELAY` set.
///
/// A Unix socket's file that nobody listens at is replaced, which is found out by connecting to
/// it; while that is done, there is an empty file `PATH.lock` beside it, and one of that name that
/// is not ours is an error. Ours is removed when the listener
/// is dropped, unless another one is in its place by then. Nobody can connect before mode and owner
/// are as the address says.
///
/// What this process was started with is taken over: see [`inherited`].
///
/// Cancel-safe: a dropped future listens nowhere.
///
/// # Errors
///
/// [`Error::Address`] for a text that is no address, [`Error::Listen`] for what the system says,
/// each inside an [`io::Error`] of the same kind.
///
/// # Examples
///
/// ```
/// # smol::block_on(async {
/// let listeners = halves::bind("127.0.0.1:0").await?;
/// println!("listening on {}", listeners.local()[0]);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub async fn bind<A>(address: A) -> io::Result<Listeners>
where
    A: TryInto<Address>,
    Error: From<A::Error>,
{
    let address = address.try_into().map_err(Error::from)?;
    listen(&address).await.map_err(|source| {
        let address = address.to_string();
        Error::Listen { address, source }.into()
    })
}

/// Connects to an address: the mirror of [`bind`]. Of a host name's addresses the first that
/// answers is taken. `-` is this process's own standard input and output, `fd:N` a connection that
/// it was started with.
///
/// Cancel-safe: a dropped future leaves no connection behind.
///
/// # Errors
///
/// [`Error::Address`] for a text that is no address, [`Error::Connect`] for what the system says,
/// each inside an [`io::Error`] of the same kind.
///
/// # Examples
///
/// ```
/// # smol::block_on(async {
/// let listeners = halves::bind("127.0.0.1:0").await?;
/// let port = listeners.local()[0].socket_addr().unwrap().port();
/// let connection = halves::connect(format!("127.0.0.1:{port}")).await?;
/// assert_eq!(connection.peer.endpoint(), listeners.local()[0]);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub async fn connect<A>(address: A) -> io::Result<Connection>
where
    A: TryInto<Address>,
    Error: From<A::Error>,
{
    let address = address.try_into().map_err(Error::from)?;
    connect_to(&address).await.map_err(|source| {
        let address = address.to_string();
        Error::Connect { address, source }.into()
    })
}

async fn listen(address: &Address) -> io::Result<Listeners> {
    match address {
        Address::Tcp { host, port } if host.is_empty() => everywhere(*port),
        Address::Tcp { host, port } => at_each(&resolve(host, *port).await?),
        Address::Unix { path, access } => unix::listen(path, access).await.map(Listeners::of),
        Address::Abstract { name } => unix::listen_abstract(name).map(Listeners::of),
        Address::Fd { number } => inherited::socket(*number)?.try_into(),
        Address::Activation { name } => handed_over(name.as_deref()),
        Address::Stdio => Ok(Once::new(stdio()?).into()),
    }
}

async fn connect_to(address: &Address) -> io::Result<Connection> {
    let problem = match address {
        Address::Tcp { host, port } => {
            return tcp::connect(&resolve(host, *port).await?).await;
        }
        Address::Unix { path, access } if *access == Access::default() => {
            return unix::connect(unix::path_name(path)?).await;
        }
        Address::Abstract { name } => return unix::connect(unix::abstract_name(name)?).await,
        Address::Fd { number } => match given(inherited::socket(*number)?)? {
            Given::Connection(connection) => return Ok(connection),
            Given::Listener(_) => "it is a socket that listens",
        },
        Address::Stdio => return stdio(),
        Address::Unix { .. } => "mode, user and group are for listening",
        Address::Activation { .. } => "sd-listen is for listening",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
}

fn handed_over(name: Option<&str>) -> io::Result<Listeners> {
    let mut listeners = Listeners::default();
    for socket in inherited::sockets(name)? {
        listeners = listeners.and(Listeners::try_from(socket)?);
    }
    Ok(listeners)
}

/// IPv6 and, by it, IPv4; IPv4 alone where the system has no IPv6.
fn everywhere(port: u16) -> io::Result<Listeners> {
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    at_each(&[v6]).or_else(|error| {
        if lacks(&error) {
            at_each(&[v4])
        } else {
            Err(error)
        }
    })
}

/// Listens at every address. Those of a family that the system lacks are passed over, as long as
/// one is left.
fn at_each(addresses: &[SocketAddr]) -> io::Result<Listeners> {
    let mut listeners = Listeners::default();
    let mut lacking = None;
    for &address in addresses {
        match tcp::listen(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if lacks(&error) => lacking = Some(error),
            Err(error) => return Err(error),
        }
    }
    match lacking {
        Some(error) if listeners.local().is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

fn lacks(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
    )
}

async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    // Connecting to no host in particular means this machine.
    let host = if host.is_empty() { "localhost" } else { host };
    let mut addresses = async_net::resolve((host, port)).await?;
    let mut seen = Vec::with_capacity(addresses.len());
    addresses.retain(|address| {
        let new = !seen.contains(address);
        seen.push(*address);
        new
    });
    if addresses.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the host has no address",
        ));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use futures_lite::future;
    use rustix::net::sockopt;

    use super::*;
    use crate::listener::Listener;

    fn has_nodelay<R, W>(connection: &Connection<R, W>) -> bool {
        let asked = connection.peer.record().ask(|fd| sockopt::tcp_nodelay(fd));
        let asked = asked.expect("TCP has a descriptor");
        asked.expect("it is a TCP socket")
    }

    #[test]
    fn what_is_accepted_and_connected_sends_without_delay() -> io::Result<()> {
        smol::block_on(async {
            let mut listeners = bind("127.0.0.1:0").await?;
            let address = listeners.local()[0].to_string();
            let (near, far) =
                future::try_zip(connect(address.as_str()), listeners.accept()).await?;
            assert!(has_nodelay(&near), "connected");
            assert!(has_nodelay(&far.expect("one has connected")), "accepted");

            let mut listener = async_net::TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?.to_string();
            let (_near, far) =
                future::try_zip(connect(address), Listener::accept(&mut listener)).await?;
            let far = far.expect("one has connected");
            assert!(has_nodelay(&far), "accepted by a listener of async-net");
            Ok(())
        })
    }
}
