//! From an address to what listens there, or to a connection to it.

use std::io;

use super::given::{Given, given};
use super::{Listeners, Once, inherited, stdio, tcp, unix};
use crate::address::{Access, Address, ListenOptions};
use crate::connection::Connection;
use crate::error::Error;

/// Listens at an address, ready to be served.
///
/// A host name that means several addresses is listened on at each of them, with one port where that is
/// 0; each must be an address of this machine. Sockets have a backlog of 4,096, and TCP connections have
/// `TCP_NODELAY` set, unless [`ListenOptions`](crate::address::ListenOptions) in the address say otherwise.
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
/// println!("listening on {}", listeners.local_addrs()[0]);
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
    let address = address.try_into().map_err(Error::from)?;
    connect_to(&address).await.map_err(|source| {
        let address = address.to_string();
        Error::Connect { address, source }.into()
    })
}

async fn listen(address: &Address) -> io::Result<Listeners> {
    match address {
        Address::Tcp {
            host,
            port,
            options,
        } => tcp::listen(host, *port, options).await,
        Address::Unix { path, access } => unix::listen(path, access).await.map(Listeners::of),
        Address::Abstract { name } => unix::listen_abstract(name).map(Listeners::of),
        Address::Fd { number, options } => {
            let socket = inherited::socket(*number)?;
            given(socket, options).map(Listeners::from)
        }
        Address::Activation { name, options } => handed_over(name.as_deref(), options),
        Address::Stdio => Ok(Once::new(stdio()?).into()),
    }
}

async fn connect_to(address: &Address) -> io::Result<Connection> {
    let problem = match address {
        Address::Tcp {
            host,
            port,
            options,
        } if *options == ListenOptions::default() => return tcp::connect(host, *port).await,
        Address::Unix { path, access } if *access == Access::default() => {
            return unix::connect(unix::path_name(path)?).await;
        }
        Address::Abstract { name } => return unix::connect(unix::abstract_name(name)?).await,
        Address::Fd { number, options } => match given(inherited::socket(*number)?, options)? {
            Given::Connection(connection) => return Ok(connection),
            Given::Listener(_) => "it is a socket that listens",
        },
        Address::Stdio => return stdio(),
        Address::Tcp { .. } => {
            "keepalive, backlog, nagle, reuse-port and v6-only are for listening"
        }
        Address::Unix { .. } => "mode, user and group are for listening",
        Address::Activation { .. } => "sd-listen is for listening",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
}

fn handed_over(name: Option<&str>, options: &ListenOptions) -> io::Result<Listeners> {
    let mut listeners = Listeners::default();
    for handed in inherited::sockets(name)? {
        let socket = given(handed.fd, options).map_err(|error| {
            let (name, number) = (handed.name, handed.number);
            let problem = format!("'{name}', descriptor {number}: {error}");
            io::Error::new(error.kind(), problem)
        })?;
        listeners = listeners.and(Listeners::from(socket));
    }
    Ok(listeners)
}
