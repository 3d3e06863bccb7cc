//! The accept loop: wait for room, accept, start a task. It goes on after every error that a retry
//! may mend.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use futures_lite::future;

use super::accept_error::{AcceptError, ActiveLimit};
use super::event::{Event, Limit};
use super::event_limiter::LimitedEvent;
use super::serving::Serving;
use super::state::ServerState;
use crate::catch::catch_panic;
use crate::connection::{Connection, ServerContext};
use crate::listener::Listener;
use crate::reason::Reason;
use crate::spawn::Spawn;
use crate::stats::count;

/// The number of accepts in a row before the loop yields.
const ACCEPTS_PER_TURN: usize = 32;
/// The number of accepts, with or without error, after a listener was stopped, for each of its
/// addresses. It is more than the kernel queues, and bounds the end for a listener that does not
/// stop.
const MAX_ACCEPTS_AFTER_STOP: usize = 1 << 16;

/// The result of one accept.
enum Accepted<C> {
    Connection(C),
    /// The listener has ended.
    ListenerEnded,
    /// The limit of connections was lowered while the listener waited.
    NoRoom,
    /// No connection is waiting, and the server drains.
    Draining,
    Failed(io::Error),
}

/// Accepts until the listener ends or the server drains. Returns an error that no retry can mend.
pub(super) async fn accept_all<E, L, H, F>(
    state: &Arc<ServerState>,
    executor: &E,
    listener: &mut L,
    handler: &H,
) -> io::Result<()>
where
    E: Spawn<Serving<H, Connection<L::Reader, L::Writer>, F>>,
    L: Listener,
    H: FnOnce(Connection<L::Reader, L::Writer>) -> F + Clone,
    F: Future<Output = io::Result<()>>,
{
    let context = state.context();
    let mut accept_loop = AcceptLoop {
        state,
        drain: pin!(state.shutdown.requested()),
        active_limit: ActiveLimit::new(state),
        failed: None,
        accepts_left: None,
    };
    for batch in 1_usize.. {
        accept_loop.stop_if_draining(listener);
        let is_done = if accept_loop.has_room().await {
            match accept_loop.next(listener).await {
                Accepted::Connection(connection) => {
                    accept_loop.active_limit.progress();
                    match start((state, &context), executor, handler, connection) {
                        Ok(()) => false,
                        Err(error) => accept_loop.fail(error).await,
                    }
                }
                Accepted::ListenerEnded => true,
                Accepted::NoRoom => false,
                // The loop goes on once more, with a stopped listener.
                Accepted::Draining => accept_loop.is_stopped(),
                Accepted::Failed(error) => accept_loop.fail(error).await,
            }
        } else {
            accept_loop.is_stopped()
        };
        if is_done || accept_loop.was_last_accept() {
            break;
        }
        if batch % ACCEPTS_PER_TURN == 0 {
            future::yield_now().await;
        }
    }
    accept_loop.active_limit.end();
    accept_loop.failed.map_or(Ok(()), Err)
}

/// The state of the accept loop.
struct AcceptLoop<'a, A> {
    state: &'a ServerState,
    /// Ready when the server drains. Not polled after that.
    drain: Pin<&'a mut A>,
    active_limit: ActiveLimit<'a>,
    /// An error that no retry can mend. It ends the server.
    failed: Option<io::Error>,
    /// The number of accepts left after the listener was stopped.
    accepts_left: Option<usize>,
}

impl<A: Future<Output = ()>> AcceptLoop<'_, A> {
    fn is_stopped(&self) -> bool {
        self.accepts_left.is_some()
    }

    fn stop_if_draining<L: Listener>(&mut self, listener: &mut L) {
        let ends = self.failed.is_some() || self.state.shutdown.is_draining();
        if ends && !self.is_stopped() {
            listener.stop();
            self.accepts_left = Some(MAX_ACCEPTS_AFTER_STOP * listener.local_addrs().len().max(1));
            self.active_limit.restart();
        }
    }

    /// Counts an accept of a stopped listener. Returns true if it was the last.
    fn was_last_accept(&mut self) -> bool {
        self.accepts_left = self.accepts_left.map(|left| left - 1);
        self.accepts_left == Some(0)
    }

    /// Waits until there is room for a connection. Returns false if the server drains before.
    async fn has_room(&mut self) -> bool {
        let registry = &self.state.registry;
        while !registry.has_room() {
            let max = registry.settings.max_connections();
            self.active_limit.begin(Limit::MaxConnections(max));
            if !self.unless_draining(registry.room(max)).await {
                return false;
            }
        }
        true
    }

    /// Polls the listener before the drain: a connection that was waiting before the drain is
    /// served.
    async fn next<L: Listener>(
        &mut self,
        listener: &mut L,
    ) -> Accepted<Connection<L::Reader, L::Writer>> {
        let mut accept = pin!(listener.accept());
        poll_fn(|cx| {
            if !self.state.registry.has_room() {
                return Poll::Ready(Accepted::NoRoom);
            }
            match accept.as_mut().poll(cx) {
                Poll::Ready(Ok(Some(connection))) => Poll::Ready(Accepted::Connection(connection)),
                Poll::Ready(Ok(None)) => Poll::Ready(Accepted::ListenerEnded),
                Poll::Ready(Err(error)) => Poll::Ready(Accepted::Failed(error)),
                Poll::Pending if self.is_stopped() => Poll::Ready(Accepted::Draining),
                Poll::Pending => {
                    self.active_limit.poll_calm(cx);
                    self.drain.as_mut().poll(cx).map(|()| Accepted::Draining)
                }
            }
        })
        .await
    }

    /// Reports an error of accept, and pauses if a pause may help. Returns true if the loop is
    /// done.
    async fn fail(&mut self, error: io::Error) -> bool {
        count(&self.state.registry.counters.accept_errors, 1);
        let waits = match AcceptError::of(&error) {
            Some(AcceptError::Limit(limit)) => {
                self.active_limit.begin(limit);
                true
            }
            Some(AcceptError::Connection) => {
                let now = self.state.clock.stamp();
                self.state
                    .emit_limited(LimitedEvent::AcceptFailed, now, || {
                        Event::AcceptFailed(error)
                    });
                self.active_limit.count_failure()
            }
            None => {
                self.failed.get_or_insert(error);
                // Of several listeners, another may still have connections.
                self.is_stopped() && self.active_limit.count_failure()
            }
        };
        let pause = waits.then(|| self.active_limit.pause());
        match pause {
            Some(pause) => !self.unless_draining(pause).await && self.is_stopped(),
            None => false,
        }
    }

    /// Waits for `wait`. Returns false if the server drains before that, or drains already.
    async fn unless_draining(&mut self, wait: impl Future<Output = ()>) -> bool {
        let stopped = self.is_stopped();
        let waited = async {
            wait.await;
            true
        };
        let draining = async {
            if !stopped {
                self.drain.as_mut().await;
            }
            false
        };
        future::or(waited, draining).await
    }
}

/// Starts the task of a connection, or refuses the connection. Returns an error for a bad listener.
fn start<E, R, W, H, F>(
    (state, context): (&ServerState, &Arc<ServerContext>),
    executor: &E,
    handler: &H,
    connection: Connection<R, W>,
) -> io::Result<()>
where
    E: Spawn<Serving<H, Connection<R, W>, F>>,
    H: FnOnce(Connection<R, W>) -> F + Clone,
    F: Future<Output = io::Result<()>>,
{
    if !connection
        .peer
        .record()
        .serve(state.registry.next_id(), context)
    {
        let twice = "the listener yielded two connections with the same Peer; each needs its own";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, twice));
    }
    let mut ticket = match state.admit(&connection.peer) {
        Ok(ticket) => ticket,
        Err(reason) => {
            state.refuse(connection, reason);
            return Ok(());
        }
    };
    match catch_panic(|| handler.clone()) {
        Ok(handler) => executor.spawn_detached(Serving::new(ticket, handler, connection)),
        Err(panic) => {
            connection.peer.record().abort(Reason::Panic);
            ticket.close(Reason::Panic, Some(panic));
        }
    }
    Ok(())
}
