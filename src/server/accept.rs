//! The accept loop: permit, accept, task. It ends when told, and nothing else stops it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use futures_lite::future;

use super::event::Event;
use super::obstacle::{Episode, Obstacle};
use super::serving::Serving;
use super::state::State;
use crate::catch::guard;
use crate::connection::{Connection, Home};
use crate::listener::Listener;
use crate::spawn::Spawn;
use crate::stats::{Reason, count};

/// Accepts in a row before others get a turn.
const BATCH: usize = 32;
/// Accepts, good or bad, after the server was told to end: as many as the kernel can have completed
/// connections by then. A listener that only fails does not hold up the end.
const LATE: usize = 4096;

/// What an accept came to.
enum Next<C> {
    Connection(C),
    /// The listener has ended, or the server was told to end and nobody waits.
    End,
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
    let home = state.home();
    let mut asked = pin!(state.shutdown.requested());
    let mut episode = Episode::new(state);
    let (mut batch, mut late) = (0, 0);
    let ended = loop {
        if !state.registry.is_below(most) {
            episode.begin(Obstacle::full(most));
            if !unless_told(state.registry.below(most), asked.as_mut()).await {
                break Ok(());
            }
        }
        match next(listener, asked.as_mut(), &mut episode).await {
            Next::Connection(connection) => {
                episode.progress();
                start((state, &home), executor, handler, connection);
            }
            Next::End => break Ok(()),
            Next::Failed(error) => {
                count(&state.registry.counters.accept_errors, 1);
                match Obstacle::of(&error) {
                    None => break Err(error),
                    Some(Obstacle::Connection) => state.emit(|| Event::AcceptFailed(error)),
                    Some(obstacle) => {
                        episode.begin(obstacle);
                        if !unless_told(episode.pause(), asked.as_mut()).await {
                            break Ok(());
                        }
                    }
                }
            }
        }
        late += usize::from(state.shutdown.is_draining());
        if late == LATE {
            break Ok(());
        }
        batch += 1;
        if batch % BATCH == 0 {
            future::yield_now().await;
        }
    };
    episode.end();
    ended
}

/// Waits; false, when the server is told to end before that is over.
async fn unless_told(
    wait: impl Future<Output = ()>,
    asked: Pin<&mut impl Future<Output = ()>>,
) -> bool {
    let waited = async {
        wait.await;
        true
    };
    let told = async {
        asked.await;
        false
    };
    future::or(waited, told).await
}

/// Asks the listener first: who has connected before the end is served.
async fn next<L: Listener>(
    listener: &mut L,
    mut asked: Pin<&mut impl Future<Output = ()>>,
    episode: &mut Episode<'_>,
) -> Next<Connection<L::Reader, L::Writer>> {
    let mut accept = pin!(listener.accept());
    poll_fn(|cx| match accept.as_mut().poll(cx) {
        Poll::Ready(Ok(Some(connection))) => Poll::Ready(Next::Connection(connection)),
        Poll::Ready(Ok(None)) => Poll::Ready(Next::End),
        Poll::Ready(Err(error)) => Poll::Ready(Next::Failed(error)),
        Poll::Pending => {
            episode.poll_calm(cx);
            asked.as_mut().poll(cx).map(|()| Next::End)
        }
    })
    .await
}

fn start<E, R, W, H, F>(
    (state, home): (&State, &Arc<Home>),
    executor: &E,
    handler: &H,
    connection: Connection<R, W>,
) where
    E: Spawn<Serving<H, Connection<R, W>, F>>,
    H: FnOnce(Connection<R, W>) -> F + Clone,
    F: Future<Output = io::Result<()>>,
{
    let Some(mut ticket) = state.admit(home, &connection.peer) else {
        return;
    };
    match guard(|| handler.clone()) {
        Ok(handler) => executor.spawn_detached(Serving::new(ticket, handler, connection)),
        Err(panic) => {
            connection.peer.record().abort(Reason::Panic);
            ticket.close(Reason::Panic, Some(panic));
        }
    }
}
