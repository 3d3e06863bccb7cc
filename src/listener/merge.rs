//! `merge`: two listeners of any type as one.

use std::future::pending;
use std::io;

use futures_lite::{AsyncRead, AsyncWrite, future};

use super::Listener;
use crate::connection::{AnyRead, AnyWrite, Connection, Endpoint};

/// Joins two listeners of any type. The connections are type-erased, so that one handler serves
/// both.
///
/// [`Listeners::and`](crate::Listeners::and) joins the listeners of this crate, with less work for
/// each accept. The indexes of [`Peer::listener`](crate::Peer::listener) count the addresses of
/// `first`, then those of `second`. A listener without addresses counts as one.
///
/// # Examples
///
/// ```
/// use halves::{Listener, bind};
/// use halves::listener::merge;
///
/// # smol::block_on(async {
/// let ours = bind("127.0.0.1:0").await?;
/// let async_net = async_net::TcpListener::bind("127.0.0.1:0").await?;
/// let mut both = merge(ours, async_net);
/// let _client = halves::connect(both.local_addrs()[1].to_string()).await?;
/// let connection = both.accept().await?.expect("one is waiting");
/// assert_eq!(connection.peer.listener(), 1);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn merge<A: Listener, B: Listener>(first: A, second: B) -> Merged<A, B> {
    Merged {
        second_offset: first.local_addrs().len().max(1),
        first: Some(first),
        second: Some(second),
        second_is_next: false,
    }
}

/// Two listeners as one, made by [`merge`]. The accepts take turns, so a busy listener does not
/// starve the other. It ends when both have ended.
#[derive(Debug)]
pub struct Merged<A, B> {
    /// `None` after its end.
    first: Option<A>,
    second: Option<B>,
    second_is_next: bool,
    /// The index of the first address of `second`.
    second_offset: usize,
}

/// The result of an accept of one of the listeners.
enum Accepted {
    First(io::Result<Option<Connection>>),
    Second(io::Result<Option<Connection>>),
}

impl<A, B> Listener for Merged<A, B>
where
    A: Listener,
    A::Reader: Send + 'static,
    A::Writer: Send + 'static,
    B: Listener,
    B::Reader: Send + 'static,
    B::Writer: Send + 'static,
{
    type Reader = AnyRead;
    type Writer = AnyWrite;

    async fn accept(&mut self) -> io::Result<Option<Connection>> {
        while self.first.is_some() || self.second.is_some() {
            let first = accept(&mut self.first, Accepted::First);
            let second = accept(&mut self.second, Accepted::Second);
            let accepted = if self.second_is_next {
                future::or(second, first).await
            } else {
                future::or(first, second).await
            };
            self.second_is_next = matches!(accepted, Accepted::First(_));
            match accepted {
                Accepted::First(Ok(None)) => self.first = None,
                Accepted::Second(Ok(None)) => self.second = None,
                Accepted::First(result) => return result,
                Accepted::Second(Ok(Some(connection))) => {
                    let index = self.second_offset + connection.peer.listener();
                    connection.peer.record().set_listener(index);
                    return Ok(Some(connection));
                }
                Accepted::Second(Err(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    fn stop(&mut self) {
        self.first.iter_mut().for_each(A::stop);
        self.second.iter_mut().for_each(B::stop);
    }

    fn local_addrs(&self) -> Vec<Endpoint> {
        let first = self.first.iter().flat_map(A::local_addrs);
        first
            .chain(self.second.iter().flat_map(B::local_addrs))
            .collect()
    }
}

async fn accept<L: Listener>(
    listener: &mut Option<L>,
    of: impl FnOnce(io::Result<Option<Connection>>) -> Accepted,
) -> Accepted
where
    L::Reader: AsyncRead + Send + Unpin + 'static,
    L::Writer: AsyncWrite + Send + Unpin + 'static,
{
    match listener {
        Some(listener) => {
            let accepted = listener.accept().await;
            of(accepted.map(|connection| connection.map(Connection::erase)))
        }
        None => pending().await,
    }
}
