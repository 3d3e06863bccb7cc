//! The accept loop: permit, accept, task. It ends when told, and nothing else stops it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use futures_lite::future;

use super::accept_error::{AcceptError, LimitEpisode};
use super::event::{Event, Limit};
use super::quiet::Kind;
use super::serving::Serving;
use super::state::State;
use crate::catch::catch_panic;
use crate::connection::{Connection, ServerContext};
use crate::listener::Listener;
use crate::reason::Reason;
use crate::spawn::Spawn;
use crate::stats::count;

/// Accepts in a row before others get a turn.
const BATCH: usize = 32;
/// Accepts, good or bad, after a listener was stopped, for each address that it listens at: more
/// than the kernel queues. A listener that does not stop does not hold up the end.
const LATE: usize = 1 << 16;

/// What an accept came to.
enum Next<C> {
    Connection(C),
    /// The listener has ended.
    End,
    /// No connection is there, and the server was told to end.
    Told,
    Failed(io::Error),
}

/// Accepts until the listener ends or the server is told to; an error is one that no retry mends.
pub(super) async fn accept_all<E, L, H, F>(
    state: &Arc<State>,
    most: usize,
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
    let mut accepting = Accepting {
        state,
        asked: pin!(state.shutdown.requested()),
        episode: LimitEpisode::new(state),
        failed: None,
        late: None,
    };
    for batch in 1_usize.. {
        accepting.stop_if_told(listener);
        let over = if accepting.has_room(most).await {
            match accepting.next(listener).await {
                Next::Connection(connection) => {
                    accepting.episode.progress();
                    match start((state, &context), executor, handler, connection) {
                        Ok(()) => false,
                        Err(error) => accepting.fail(error).await,
                    }
                }
                Next::End => true,
                // Once more, of a listener that is stopped.
                Next::Told => accepting.is_stopped(),
                Next::Failed(error) => accepting.fail(error).await,
            }
        } else {
            accepting.is_stopped()
        };
        if over || accepting.is_spent() {
            break;
        }
        if batch % BATCH == 0 {
            future::yield_now().await;
        }
    }
    accepting.episode.end();
    accepting.failed.map_or(Ok(()), Err)
}

/// The accept loop's course.
struct Accepting<'a, A> {
    state: &'a State,
    /// Ready when the server is told to end; not polled after that.
    asked: Pin<&'a mut A>,
    episode: LimitEpisode<'a>,
    /// An error that no retry mends: it ends the server.
    failed: Option<io::Error>,
    /// How many accepts are left, once the listener is stopped.
    late: Option<usize>,
}

impl<A: Future<Output = ()>> Accepting<'_, A> {
    fn is_stopped(&self) -> bool {
        self.late.is_some()
    }

    fn stop_if_told<L: Listener>(&mut self, listener: &mut L) {
        let told = self.failed.is_some() || self.state.shutdown.is_draining();
        if told && !self.is_stopped() {
            listener.stop();
            self.late = Some(LATE * listener.local_addrs().len().max(1));
            self.episode.restart();
        }
    }

    /// Counts an accept of a listener that is stopped, and says whether it was the last.
    fn is_spent(&mut self) -> bool {
        self.late = self.late.map(|left| left - 1);
        self.late == Some(0)
    }

    /// Waits until fewer connections are open. False: the server is told to end before that.
    async fn has_room(&mut self, most: usize) -> bool {
        let registry = &self.state.registry;
        if registry.is_below(most) {
            return true;
        }
        self.episode.begin(Limit::MaxConnections(most));
        self.unless_told(registry.below(most)).await
    }

    /// Asks the listener first: a connection that was there before the end is served.
    async fn next<L: Listener>(
        &mut self,
        listener: &mut L,
    ) -> Next<Connection<L::Reader, L::Writer>> {
        let mut accept = pin!(listener.accept());
        poll_fn(|cx| match accept.as_mut().poll(cx) {
            Poll::Ready(Ok(Some(connection))) => Poll::Ready(Next::Connection(connection)),
            Poll::Ready(Ok(None)) => Poll::Ready(Next::End),
            Poll::Ready(Err(error)) => Poll::Ready(Next::Failed(error)),
            Poll::Pending if self.is_stopped() => Poll::Ready(Next::Told),
            Poll::Pending => {
                self.episode.poll_calm(cx);
                self.asked.as_mut().poll(cx).map(|()| Next::Told)
            }
        })
        .await
    }

    /// Reports an error of accept, and waits where that may help. Says whether no further accept
    /// does.
    async fn fail(&mut self, error: io::Error) -> bool {
        count(&self.state.registry.counters.accept_errors, 1);
        let waits = match AcceptError::of(&error) {
            Some(AcceptError::Limit(limit)) => {
                self.episode.begin(limit);
                true
            }
            Some(AcceptError::Connection) => {
                let now = self.state.clock.stamp();
                self.state
                    .report(Kind::AcceptFailed, now, || Event::AcceptFailed(error));
                self.episode.persists()
            }
            None => {
                self.failed.get_or_insert(error);
                // Of several listeners, another one may have connections.
                self.is_stopped() && self.episode.persists()
            }
        };
        let pause = waits.then(|| self.episode.pause());
        match pause {
            Some(pause) => !self.unless_told(pause).await && self.is_stopped(),
            None => false,
        }
    }

    /// Waits; false, when the server is told to end before that is over, or has been told already.
    async fn unless_told(&mut self, wait: impl Future<Output = ()>) -> bool {
        let stopped = self.is_stopped();
        let waited = async {
            wait.await;
            true
        };
        let told = async {
            if !stopped {
                self.asked.as_mut().await;
            }
            false
        };
        future::or(waited, told).await
    }
}

/// Starts a connection's task, unless the connection is refused. The error is the listener's.
fn start<E, R, W, H, F>(
    (state, context): (&State, &Arc<ServerContext>),
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
        let twice = "the listener yielded two connections with one Peer: each has its own";
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
