//! `bind`: from an address to its listeners. `check`: the problems of an address before that.

use std::io;

use super::adopt::adopt;
use super::{Listeners, Once, inherited, stdio, tcp, unix};
use crate::address::{Address, ListenOptions};
use crate::error::Error;

/// Listens on an address and returns its listeners, ready to be served.
///
/// For a host name with several addresses, this listens on each of them. Port 0 is then one free
/// port for all. Each must be an address of this machine. By default sockets have a backlog of
/// 4,096 connections, and TCP connections have `TCP_NODELAY` set.
/// [`ListenOptions`](crate::address::ListenOptions) in the address change this.
///
/// The stale file of a Unix socket is replaced. A file is stale if a connection to it is refused.
/// During the check an empty lock file `PATH.lock` exists beside it; a file of that name that is
/// not such a lock is an error. The socket's file is removed when the listener is dropped, unless
/// another file has taken its place. Clients can connect only after mode and owner are set.
///
/// `fd:N` and `sd-listen` take over descriptors of this process: see [`inherited`].
///
/// Cancel-safe: a dropped future leaves no listener behind.
///
/// # Errors
///
/// [`Error::Address`] if the text is not an address, [`Error::Listen`] for an error of the system,
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
    let listening = listen(&address).await;
    listening.map_err(|source| error(&address, source))
}

/// Checks an address without listening on it: resolves the names of its host, user and group, and
/// looks for the directory of a Unix socket and for permission to create a file there.
///
/// That the address can be listened on is not certain: it may be in use, or not be one of this
/// machine. Descriptors, `fd:N` and `sd-listen`, are not looked at.
///
/// Cancel-safe.
///
/// # Errors
///
/// [`Error::Address`] if the text is not an address, [`Error::Listen`] for the problem that
/// [`bind`] would have, each inside an [`io::Error`] of the same kind.
///
/// # Examples
///
/// ```
/// use halves::listener;
///
/// # smol::block_on(async {
/// listener::check("127.0.0.1:7").await?;
/// let error = listener::check("/nosuch/x.sock").await.unwrap_err();
/// let problem = "cannot listen on unix:/nosuch/x.sock: there is no directory /nosuch";
/// assert_eq!(error.to_string(), problem);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub async fn check<A>(address: A) -> io::Result<()>
where
    A: TryInto<Address>,
    Error: From<A::Error>,
{
    let address = address.try_into().map_err(Error::from)?;
    let checked = match &address {
        // Every interface.
        Address::Tcp { host, .. } if host.is_empty() => Ok(()),
        Address::Tcp { host, port, .. } => tcp::resolve(host, *port).await.map(drop),
        Address::Unix { path, access } => unix::check(path, access).await,
        Address::Abstract { name } => unix::abstract_name(name).map(drop),
        Address::Fd { .. } | Address::Activation { .. } | Address::Stdio => Ok(()),
    };
    checked.map_err(|source| error(&address, source))
}

fn error(address: &Address, source: io::Error) -> io::Error {
    let address = address.to_string();
    Error::Listen { address, source }.into()
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
            adopt(socket, options).map(Listeners::from)
        }
        Address::Activation { name, options } => activated(name.as_deref(), options),
        Address::Stdio => Ok(Once::new(stdio()?).into()),
    }
}

fn activated(name: Option<&str>, options: &ListenOptions) -> io::Result<Listeners> {
    let mut listeners = Listeners::default();
    for passed in inherited::sockets(name)? {
        let socket = adopt(passed.fd, options).map_err(|error| {
            let (name, number) = (passed.name, passed.number);
            let message = format!("'{name}', descriptor {number}: {error}");
            io::Error::new(error.kind(), message)
        })?;
        listeners = listeners.and(Listeners::from(socket));
    }
    Ok(listeners)
}
