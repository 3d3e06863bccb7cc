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
use super::health::Probe;
use super::settings::Settings;
use super::target::Place;
use crate::connection::{AnyRead, AnyWrite, Connection};
use crate::proxy_protocol::Header;
use crate::reason::Reason;
use crate::time::Clock;

/// Relays a client to a target.
pub(super) struct RelayServing<R, W> {
    stage: Stage<R, W>,
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
        let clock = client.peer.record().clock();
        let header = Header::of(&client.peer);
        Self {
            probes: due_probes(settings, &clock),
            stage: Stage::Connecting {
                client,
                connecting: Box::pin(connect(settings.clone(), header, clock)),
                is_read: false,
            },
        }
    }

    fn poll_probes(&mut self, cx: &mut Context<'_>) {
        self.probes.retain_mut(|probe| probe.poll(cx).is_pending());
        if self.probes.is_empty() {
            self.probes = Vec::new();
        }
    }
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
        let result = ready!(Pin::new(&mut *relaying).poll(cx));
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
