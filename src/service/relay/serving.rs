//! The relay of one connection: first connecting to a target, then relaying.

use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncRead, AsyncWrite};

use super::connecting::{check, connect};
use super::copy::{Relaying, reset};
use super::direction::is_truncation;
#[cfg(target_os = "linux")]
use super::handover::{self, Arrived, Mover};
use super::health::Probe;
use super::settings::Settings;
use super::target::Place;
#[cfg(target_os = "linux")]
use crate::connection::Peer;
use crate::connection::{AnyRead, AnyWrite, Connection};
use crate::proxy_protocol::Header;
use crate::reason::Reason;
use crate::time::Clock;

/// Relays a client to a target.
pub(super) struct RelayServing<R, W> {
    stage: Stage<R, W>,
    #[cfg(target_os = "linux")]
    mover: Option<Mover>,
    /// Probes of targets that were left out, beside this connection.
    probes: Vec<Probe>,
}

/// The future of a connection to a target, and of the relay's place there.
type Connecting = Pin<Box<dyn Future<Output = io::Result<(Connection, Place)>> + Send>>;

enum Stage<R, W> {
    Connecting {
        client: Connection<R, W>,
        /// Boxed, so that a relay holds no memory for it later.
        connecting: Connecting,
        /// Nothing more is read from the client for now.
        is_read: bool,
    },
    Relaying {
        relaying: Relaying<R, W, AnyRead, AnyWrite>,
        place: Place,
    },
    Done,
}

impl<R, W> RelayServing<R, W> {
    pub(super) fn new(client: Connection<R, W>, settings: &Arc<Settings>) -> Self {
        #[cfg(target_os = "linux")]
        if let Some(arrived) = handover::arrived(&client.peer) {
            return Self::resumed(client, arrived, settings);
        }
        let clock = client.peer.record().clock();
        let header = Header::of(&client.peer);
        Self {
            #[cfg(target_os = "linux")]
            mover: mover(&client.peer, settings),
            probes: due_probes(settings, &clock),
            stage: Stage::Connecting {
                client,
                connecting: Box::pin(connect(settings.clone(), header, clock)),
                is_read: false,
            },
        }
    }

    /// Goes on with a relay of another process.
    #[cfg(target_os = "linux")]
    fn resumed(near: Connection<R, W>, arrived: Arrived, settings: &Settings) -> Self {
        let place = Place::of(&settings.state_of(arrived.target));
        let mover = mover(&near.peer, settings);
        if let Some(mover) = &mover {
            mover.connected();
        }
        let mut relaying = Relaying::new(near, arrived.far);
        (relaying.there, relaying.back) = (arrived.there, arrived.back);
        Self {
            stage: Stage::Relaying { relaying, place },
            mover,
            probes: Vec::new(),
        }
    }

    fn poll_probes(&mut self, cx: &mut Context<'_>) {
        self.probes.retain_mut(|probe| probe.poll(cx).is_pending());
        if self.probes.is_empty() {
            self.probes = Vec::new();
        }
    }
}

/// Returns the place of a relay among those that can move. One without a server cannot.
#[cfg(target_os = "linux")]
fn mover(near: &Peer, settings: &Settings) -> Option<Mover> {
    let record = near.record();
    record.context()?;
    Some(settings.handover.as_ref()?.mover(record))
}

/// Returns the probes that are due.
fn due_probes(settings: &Arc<Settings>, clock: &Clock) -> Vec<Probe> {
    if !settings
        .targets
        .iter()
        .any(|state| state.health.is_left_out())
    {
        return Vec::new();
    }
    let targets = settings.targets.iter();
    targets
        .filter_map(|state| Probe::due(state, clock, || check(state, settings, clock)))
        .collect()
}

impl<R, W> RelayServing<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    /// Connects. Meanwhile, reads ahead from the client, so that its reset is seen.
    fn poll_connect(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Stage::Connecting {
            client,
            connecting,
            is_read,
        } = &mut self.stage
        else {
            return Poll::Ready(Ok(()));
        };
        let record = client.peer.record();
        // First, as a target nearby takes the connection at once.
        let Poll::Ready(connected) = connecting.as_mut().poll(cx) else {
            if *is_read {
                return Poll::Pending;
            }
            return match ready!(client.reader.poll_read_ahead(cx)) {
                Err(error) if !is_truncation(record, &error) => Poll::Ready(Err(error)),
                // The relay reads an end of TLS again.
                _ => {
                    *is_read = true;
                    Poll::Pending
                }
            };
        };
        let (target, place) = connected.inspect_err(|_| {
            record.set_cause(Reason::Refused);
        })?;
        let connecting = mem::replace(&mut self.stage, Stage::Done);
        if let Stage::Connecting { client, .. } = connecting {
            let relaying = Relaying::new(client, target);
            self.stage = Stage::Relaying { relaying, place };
            #[cfg(target_os = "linux")]
            if let Some(mover) = &self.mover {
                mover.connected();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<R, W> Future for RelayServing<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.probes.is_empty() {
            this.poll_probes(cx);
        }
        if let Stage::Connecting { .. } = this.stage {
            ready!(this.poll_connect(cx))?;
        }
        let Stage::Relaying { relaying, place } = &mut this.stage else {
            return Poll::Ready(Err(io::Error::other("the relay has ended already")));
        };
        let polled = Pin::new(&mut *relaying).poll(cx);
        #[cfg(target_os = "linux")]
        if let (Poll::Pending, Some(mover)) = (&polled, &this.mover) {
            let address = &place.target().target.address;
            if !mover.poll_move(relaying, address, cx.waker()) {
                return Poll::Pending;
            }
            // The sockets are closed, and not ended.
            (this.stage, this.mover) = (Stage::Done, None);
            return Poll::Ready(Ok(()));
        }
        let result = ready!(polled);
        let result = result.map_err(|error| {
            if !relaying.has_far_failed() {
                return error;
            }
            let address = &place.target().target.address;
            io::Error::new(error.kind(), format!("target {address}: {error}"))
        });
        Poll::Ready(result)
    }
}

impl<R, W> Unpin for RelayServing<R, W> {}

impl<R, W> Drop for RelayServing<R, W> {
    fn drop(&mut self) {
        if let Stage::Connecting { client, .. } = &self.stage {
            // An empty answer must not look complete.
            reset(&client.peer);
        }
    }
}
