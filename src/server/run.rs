//! Runs a server, from the first accept to the report: `serve` and `serve_while`.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_lite::future;

use super::drain;
use super::event::Event;
use super::poll_on_wake::PollOnWake;
use super::state::ServerState;
use super::{Handle, Handler, Report, Server, Serving, accept};
use crate::connection::Connection;
use crate::listener::Listener;
use crate::shutdown::Shutdown;
use crate::spawn::Spawn;

/// The future of [`Server::serve_while`] that finishes first.
enum Finished<T> {
    Body(T),
    Server(Box<io::Result<Report>>),
}

impl Server {
    /// Serves while `body` runs, then drains. Returns the result of `body` and the report. `body`
    /// gets a handle to the server. Like asyncio's `async with server`. Everything else is as in
    /// [`serve`](Self::serve).
    ///
    /// If the server ends first, for example because its listener has ended, `body` goes on. If
    /// this future is dropped, or if `body` panics, the server resets every connection.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`serve`](Self::serve), and then drops `body` at its current await.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Connection, Executor, Server, bind, connect};
    /// use halves::service::echo;
    ///
    /// let ex = Executor::new();
    /// let (answer, report) = ex.block_on(async {
    ///     let listener = bind("127.0.0.1:0").await?;
    ///     let handler = async |Connection { reader, writer, .. }| echo(reader, writer).await;
    ///     let body = async |server: halves::Handle| {
    ///         let address = server.local_addrs()[0].to_string();
    ///         let Connection { mut reader, writer, .. } = connect(address.as_str()).await?;
    ///         let mut writer = writer.buffered();
    ///         writer.write(b"hello\n")?;
    ///         writer.write_eof().await?;
    ///         std::io::Result::Ok(reader.line().await?)
    ///     };
    ///     Server::default().serve_while(&ex, listener, handler, body).await
    /// })?;
    /// assert_eq!(answer?.unwrap(), b"hello\n");
    /// assert_eq!(report.stats.accepted, 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn serve_while<E, L, H, F, T>(
        self,
        executor: E,
        listener: L,
        handler: H,
        body: impl AsyncFnOnce(Handle) -> T,
    ) -> io::Result<(T, Report)>
    where
        E: Spawn<Serving<H, Connection<L::Reader, L::Writer>, F>>,
        L: Listener,
        H: Handler<Connection<L::Reader, L::Writer>, F>,
        F: Future<Output = io::Result<()>>,
    {
        let handle = self.handle();
        let shutdown = handle.shutdown().clone();
        let mut serving = pin!(self.serve(executor, listener, handler));
        let mut body = pin!(body(handle));
        // The server is polled first, so that it listens when the body starts.
        let server = async { Finished::Server(Box::new(serving.as_mut().await)) };
        let first = future::or(server, async { Finished::Body(body.as_mut().await) }).await;
        match first {
            Finished::Body(done) => {
                shutdown.drain();
                Ok((done, serving.await?))
            }
            Finished::Server(report) => {
                let report = (*report)?;
                Ok((body.await, report))
            }
        }
    }
}

/// Runs [`Server::serve`]: the accept loop and the drain, beside two futures that never end.
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
    let state = ServerState::new(
        server.registry,
        server.clock,
        server.own,
        server.seed.unwrap_or_else(|| fastrand::u64(..)),
        server.observers,
    );
    let _guard = server.guard;
    let run = async {
        let mut listener = listener;
        state.registry.begin(listener.local_addrs());
        state.registry.ready.store(true, Ordering::Release);
        let accepted = accept::accept_all(&state, &executor, &mut listener, &handler).await;
        state.registry.ready.store(false, Ordering::Release);
        state.registry.set_local_addrs(Vec::new());
        drop(listener);
        let report = finish(&state, server.drain_timeout, accepted.is_err()).await;
        state
            .limiter
            .take()
            .into_iter()
            .for_each(|suppressed| state.emit(|| suppressed));
        state.emit(|| Event::Ended(report));
        accepted.map(|()| report)
    };
    let orders = forward_shutdown(server.shutdown, &state, server.drain_delay);
    PollOnWake::new(future::or(
        run,
        future::or(orders, report_suppressed(&state)),
    ))
    .await
}

/// Emits the number of suppressed events after each second. Never ready.
async fn report_suppressed<T>(state: &ServerState) -> T {
    loop {
        let suppressed = state.limiter.next_suppressed(&state.clock).await;
        state.emit(|| suppressed);
    }
}

/// Waits for the open connections after the last accept, with a deadline once the server drains.
async fn finish(state: &ServerState, drain_timeout: Duration, failed: bool) -> Report {
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

/// Forwards the shutdown of the embedder to the server, after the drain delay. Never ready.
async fn forward_shutdown<T>(embedder: Shutdown, state: &ServerState, delay: Duration) -> T {
    let own = &state.shutdown;
    embedder.requested().await;
    state.registry.ready.store(false, Ordering::Release);
    let skip_delay = own.is_draining() || embedder.is_aborting();
    if !delay.is_zero() && !skip_delay {
        state.emit(|| Event::Delaying { delay });
        let forced = future::or(embedder.forced(), own.requested());
        future::or(forced, state.clock.sleep(delay)).await;
    }
    own.drain();
    embedder.forced().await;
    own.abort();
    future::pending().await
}
