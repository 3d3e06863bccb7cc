//! `HandoverListener`: yields the relays of another process beside the connections of a listener.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::task::Poll;

use futures_lite::future;
use rustix::io::Errno;

use super::channel::{Received, Receiver};
use super::moving::take_over;
use crate::connection::{AnyRead, AnyWrite, Connection, Endpoint};
use crate::error::Error;
use crate::listener::Listener;

/// A listener that also yields the relays that a [`Handover`](super::Handover) of another process
/// sends over a channel.
///
/// The handler passes each connection to a [`Relay`](super::super::Relay), which goes on with a relay
/// where the other process has stopped, instead of connecting to a target. Any other layer or
/// service must leave the connections alone for which
/// [`Peer::is_handed_over`](crate::Peer::is_handed_over) returns true.
///
/// A relay is admitted whatever the rules and the limits per source are, as the other process has
/// admitted it, and counts as an open connection of its source. Relays wait in the channel, and then
/// in the other process, while there is no room below the maximum of connections or while
/// descriptors are used up. The [index of the listener](crate::Peer::listener) is that of the local
/// address, or 0 if there is no such listener any more.
///
/// After the end of the channel, connections are those of the listener only.
#[derive(Debug)]
pub struct HandoverListener<L> {
    listener: L,
    has_ended: bool,
    /// None after its end.
    channel: Option<Receiver>,
    /// The channel is polled first, as the listener was before.
    is_channel_first: bool,
}

impl<L> HandoverListener<L> {
    /// Adds the relays of a channel to a listener, and reports to the other process that it may
    /// send them. `channel` is a socket of the type `SOCK_SEQPACKET`, connected to that process.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for another type of socket, or the error of the
    /// system.
    ///
    /// # Examples
    ///
    /// See [`Handover`](super::Handover).
    pub fn new(listener: L, channel: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            listener,
            has_ended: false,
            channel: Some(Receiver::new(channel)?),
            is_channel_first: true,
        })
    }
}

impl<L> Listener for HandoverListener<L>
where
    L: Listener<Reader = AnyRead, Writer = AnyWrite>,
{
    type Reader = AnyRead;
    type Writer = AnyWrite;

    async fn accept(&mut self) -> io::Result<Option<Connection>> {
        loop {
            self.is_channel_first = !self.is_channel_first;
            match self.next().await? {
                Next::Connection(Some(connection)) => return Ok(Some(connection)),
                Next::Connection(None) => self.has_ended = true,
                Next::Relay(Some(received)) => return self.relay(received).map(Some),
                Next::Relay(None) => self.channel = None,
            }
            if self.has_ended && self.channel.is_none() {
                return Ok(None);
            }
        }
    }

    fn stop(&mut self) {
        self.listener.stop();
    }

    fn local_addrs(&self) -> Vec<Endpoint> {
        self.listener.local_addrs()
    }
}

/// The next of two sources, or the end of one.
enum Next {
    Connection(Option<Connection>),
    Relay(Option<Received>),
}

impl<L> HandoverListener<L>
where
    L: Listener<Reader = AnyRead, Writer = AnyWrite>,
{
    async fn next(&mut self) -> io::Result<Next> {
        let (listener, channel) = (&mut self.listener, &self.channel);
        let has_ended = self.has_ended;
        let connection = async {
            if has_ended {
                future::pending::<()>().await;
            }
            listener.accept().await.map(Next::Connection)
        };
        let relay = poll_fn(|cx| match channel {
            Some(channel) => channel.poll_receive(cx).map_ok(Next::Relay).map_err(failed),
            None => Poll::Pending,
        });
        if self.is_channel_first {
            future::or(relay, connection).await
        } else {
            future::or(connection, relay).await
        }
    }

    fn relay(&self, received: Received) -> io::Result<Connection> {
        let near = take_over(received).ok_or_else(|| failed(Errno::PROTO.into()))?;
        let record = near.peer.record();
        let local = self.listener.local_addrs();
        let index = local.iter().position(|local| *local == *record.local);
        record.set_listener(index.unwrap_or_default());
        Ok(near)
    }
}

/// A server goes on after this error, or retries if descriptors are used up.
fn failed(source: io::Error) -> io::Error {
    let address = "the channel of a handover".to_owned();
    Error::Accept { address, source }.into()
}
