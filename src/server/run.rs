//! One serving, from the first accept to the report.

use std::future::Future;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use futures_lite::future;

use super::drain;
use super::event::Event;
use super::gate::Gate;
use super::state::State;
use super::{Handler, Report, Server, Serving, accept};
use crate::connection::Connection;
use crate::listener::Listener;
use crate::shutdown::Shutdown;
use crate::spawn::Spawn;

/// What [`Server::serve`] does: two futures in one, of which the first decides the end.
pub(super) async fn run<E, L, H, F>(
    server: Server,
    executor: E,
    listener: L,
    handler: H,
) -> io::Result<Report>
where
    E: Spawn<Serving<H, Connection<L::Reader, L::Writer>, F>>,
    L: Listener,
    H: Handler<Connection<L::Reader, L::Writer>, F>,
    F: Future<Output = io::Result<()>>,
{
    let random = server.seed.map_or_else(Rng::new, Rng::with_seed);
    let state = State::new(
        server.registry,
        server.clock,
        server.own,
        server.timeouts,
        random,
        server.observer,
    );
    let _life = server.life;
    let run = async {
        let mut listener = listener;
        let most = server.max_connections;
        state.registry.listens(listener.local_addrs());
        state.registry.ready.store(true, Ordering::Release);
        let accepted = accept::accept_all(&state, most, &executor, &mut listener, &handler).await;
        state.registry.ready.store(false, Ordering::Release);
        state.registry.listens(Vec::new());
        drop(listener);
        let report = finish(&state, server.drain_timeout, accepted.is_err()).await;
        state
            .quiet
            .take()
            .into_iter()
            .for_each(|rest| state.emit(|| rest));
        state.emit(|| Event::Ended(report));
        accepted.map(|()| report)
    };
    let orders = follow(server.shutdown, &state, server.drain_delay);
    Gate::new(future::or(run, future::or(orders, report_rest(&state)))).await
}

/// Reports how many events were suppressed, by the second; never ready.
async fn report_rest<T>(state: &State) -> T {
    loop {
        let rest = state.quiet.rest(&state.clock).await;
        state.emit(|| rest);
    }
}

/// After the last accept: waits for what is open, with a deadline once the server is told to end.
async fn finish(state: &State, drain_timeout: Duration, failed: bool) -> Report {
    let open = state.registry.open();
    if failed {
        state.shutdown.drain();
    } else {
        let done = state.registry.below(1);
        future::or(done, state.shutdown.requested()).await;
    }
    if state.shutdown.is_draining() {
        return drain::drain(state, drain_timeout).await;
    }
    Report {
        finished: open,
        aborted: 0,
        stats: state.registry.stats(),
    }
}

/// Passes the orders to end on to the accept loop, after the delay, and to the handlers; never
/// ready.
async fn follow<T>(embedder: Shutdown, state: &State, delay: Duration) -> T {
    let own = &state.shutdown;
    embedder.requested().await;
    state.registry.ready.store(false, Ordering::Release);
    let told_more = own.is_draining() || embedder.is_aborting();
    if !delay.is_zero() && !told_more {
        state.emit(|| Event::Delaying { delay });
        let forced = future::or(embedder.forced(), own.requested());
        future::or(forced, state.clock.sleep(delay)).await;
    }
    own.drain();
    embedder.forced().await;
    own.abort();
    future::pending().await
}
