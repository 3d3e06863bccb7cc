//! `Serving`: the task of one connection. Calls the handler, catches its panics, closes the stream.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::state::Ticket;
use crate::catch::catch_panic;
use crate::connection::{Flag, Link, Record};
use crate::reason::Reason;
use crate::time::Sleep;

/// The time for which a closed connection waits for the end of input of its peer.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// A handler: an async function or closure that serves one connection and is `Clone`.
///
/// The trait is implemented for every `FnOnce(C) -> F` that is `Clone`, where `F` is a future of
/// `io::Result<()>`, and for no other type. `C` is the connection. A clone of the handler serves
/// each connection.
///
/// # Examples
///
/// A function that takes any handler has it in its bounds:
///
/// ```
/// use halves::{Connection, Executor, Once, Report, serve};
/// use halves::server::Handler;
/// use std::{future::Future, io};
///
/// async fn serve_once<H, F>(ex: &Executor, handler: H) -> io::Result<Report>
/// where
///     H: Handler<Connection<&'static [u8], Vec<u8>>, F> + Send + 'static,
///     F: Future<Output = io::Result<()>> + Send + 'static,
/// {
///     serve(ex, Once::new(Connection::new(&b"hello"[..], vec![])), handler).await
/// }
///
/// let ex = Executor::new();
/// let report = ex.block_on(serve_once(&ex, async |connection| Ok(drop(connection))))?;
/// assert_eq!(report.stats.accepted, 1);
/// # io::Result::Ok(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of connections",
    label = "not a handler",
    note = "a handler takes one `Connection` and returns `io::Result<()>`: \
            `async |Connection {{ reader, writer, .. }}| upper(reader, writer).await`, or an `async fn`",
    note = "each connection gets a clone of the handler, so what it captures is `Clone`"
)]
pub trait Handler<C, F>: FnOnce(C) -> F + Clone {}

// Without this attribute, the compiler reports the missing bound, and not the message above.
#[diagnostic::do_not_recommend]
impl<H, C, F> Handler<C, F> for H
where
    H: FnOnce(C) -> F + Clone,
    F: Future<Output = io::Result<()>>,
{
}

pin_project! {
    /// The task of one connection: the future that a [`Server`](crate::Server) passes to
    /// [`Spawn`](crate::Spawn). `H` is the handler, `C` its connection, `F` the handler's future.
    ///
    /// It never panics, even if the handler does. If it is dropped before it is done, it resets the
    /// connection.
    ///
    /// # Examples
    ///
    /// A function that serves on any executor has it in its bounds:
    ///
    /// ```
    /// use halves::{Connection, Report, Spawn, serve};
    /// use halves::listener::memory::*;
    /// use halves::server::Serving;
    /// use std::io;
    ///
    /// async fn serve_memory<E, H, F>(ex: E, listener: MemoryListener, handler: H) -> io::Result<Report>
    /// where
    ///     E: Spawn<Serving<H, MemoryConnection, F>>,
    ///     H: FnOnce(MemoryConnection) -> F + Clone,
    ///     F: Future<Output = io::Result<()>>,
    /// {
    ///     serve(ex, listener, handler).await
    /// }
    /// ```
    pub struct Serving<H, C, F> {
        #[pin]
        stage: Stage<H, C, F>,
        // Last, so that the place of the connection is given back after everything else is dropped.
        ticket: Ticket,
    }

    impl<H, C, F> PinnedDrop for Serving<H, C, F> {
        fn drop(this: Pin<&mut Self>) {
            // A panic in `drop` could abort the process.
            let _ = catch_panic(|| this.project().stage.set(Stage::Done));
        }
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<H, C, F> {
        // The handler is called in this task, not in the accept loop, because the call may block or
        // panic.
        Called { call: Option<(H, C)> },
        Running { #[pin] handler: F },
        // The handler has ended. The task flushes its bytes and lingers for the peer.
        Closing { wait: Option<Box<CloseWait>>, reason: Reason, error: Option<io::Error> },
        Done,
    }
}

/// The wait for the peer while the connection closes.
struct CloseWait {
    sleep: Sleep,
    /// True if all bytes are flushed, so that only the peer's end of input is missing.
    flushed: bool,
    /// True if the peer has accepted bytes since the wait began.
    progressed: bool,
}

impl<H, C, F> Serving<H, C, F> {
    pub(super) fn new(ticket: Ticket, handler: H, connection: C) -> Self {
        Self {
            stage: Stage::Called {
                call: Some((handler, connection)),
            },
            ticket,
        }
    }
}

impl<H, C, F> fmt::Debug for Serving<H, C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").finish_non_exhaustive()
    }
}

impl<H, C, F> Future for Serving<H, C, F>
where
    H: FnOnce(C) -> F,
    F: Future<Output = io::Result<()>>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if let Some(record) = this.ticket.record() {
            record.begin_poll();
        }
        loop {
            match poll_stage(this.stage.as_mut(), this.ticket, cx) {
                Ok(Poll::Ready(Stage::Done)) => {
                    this.stage.set(Stage::Done);
                    return Poll::Ready(());
                }
                Ok(Poll::Ready(stage)) => this.stage.set(stage),
                Ok(Poll::Pending) => {
                    if let Some(record) = this.ticket.record() {
                        record.send_queued(cx);
                    }
                    return Poll::Pending;
                }
                Err(panic) => {
                    if let Some(record) = this.ticket.record() {
                        record.abort(Reason::Panic);
                    }
                    // A second panic, in the drop of the handler, is ignored.
                    let _ = catch_panic(|| this.stage.set(Stage::Done));
                    this.ticket.close(Reason::Panic, Some(panic));
                    return Poll::Ready(());
                }
            }
        }
    }
}

/// Polls the stage, and returns the next one when it is over. An error is a panic.
fn poll_stage<H, C, F>(
    mut stage: Pin<&mut Stage<H, C, F>>,
    ticket: &mut Ticket,
    cx: &mut Context<'_>,
) -> io::Result<Poll<Stage<H, C, F>>>
where
    H: FnOnce(C) -> F,
    F: Future<Output = io::Result<()>>,
{
    let result = match stage.as_mut().project() {
        StageProjection::Called { .. } | StageProjection::Running { .. } if ticket.is_ended() => {
            Ok(())
        }
        StageProjection::Called { call } => {
            let Some((handler, connection)) = call.take() else {
                return Ok(Poll::Ready(Stage::Done));
            };
            let handler = catch_panic(|| handler(connection))?;
            return Ok(Poll::Ready(Stage::Running { handler }));
        }
        StageProjection::Running { handler } => {
            match catch_panic(|| handler.poll(cx))? {
                Poll::Ready(result) => result,
                // Checked after the waker is registered: a later end wakes this task.
                Poll::Pending if ticket.register(cx) => return Ok(Poll::Pending),
                Poll::Pending => Ok(()),
            }
        }
        StageProjection::Closing {
            wait,
            reason,
            error,
        } => {
            let drained = *reason == Reason::Drained;
            let mut polled = catch_panic(|| poll_close(ticket, wait, drained, cx))?;
            if polled.is_pending() {
                ticket.register(cx);
                // The stream may have made progress before the waker was registered.
                polled = catch_panic(|| poll_close(ticket, wait, drained, cx))?;
            }
            let Poll::Ready(closed) = polled else {
                return Ok(Poll::Pending);
            };
            let (reason, error) = match (closed, error.take()) {
                (Ok(()), error) => (*reason, error),
                (Err(late), None) => (Reason::Error, Some(late)),
                (Err(_), first) => (*reason, first),
            };
            ticket.close(reason, error);
            return Ok(Poll::Ready(Stage::Done));
        }
        StageProjection::Done => return Ok(Poll::Ready(Stage::Done)),
    };
    catch_panic(|| stage.set(Stage::Done))?;
    Ok(Poll::Ready(closing(ticket, result.err())))
}

/// Returns the stage after the handler, which has returned or was dropped.
fn closing<H, C, F>(ticket: &mut Ticket, error: Option<io::Error>) -> Stage<H, C, F> {
    let Some(record) = ticket.record().cloned() else {
        return Stage::Done;
    };
    // Before the reason is chosen, which depends on the end of the peer.
    record.end_lent();
    // Read once: the next stage handles a later ending.
    let cause = record.cause();
    if let Some(reason) = cause.filter(|reason| reason.is_refusal()) {
        record.close(reason);
    }
    let ending = record.ending();
    let reason = match ending {
        Some(ending) => ending.reason,
        None if let Some(cause) = cause => cause,
        None if error.is_some() => Reason::Error,
        None if record.flags.has(Flag::Drained) => Reason::Drained,
        None if record.flags.has(Flag::Eof) => Reason::Eof,
        None => Reason::Handler,
    };
    // An error that follows from the end of the connection is not the handler's own error, unless
    // `Peer::abort` or a layer has ended the connection.
    let error = error.filter(|_| reason == Reason::Error || cause == Some(reason));
    if reason == Reason::Handover {
        // Another process has the stream, so it is neither flushed nor ended here.
        ticket.close(reason, None);
        return Stage::Done;
    }
    // A cut answer must not look complete.
    let cut = ending.is_some() && record.is_writing() || record.bytes_dropped() > 0;
    if cut || ending.is_some_and(|ending| ending.reset) {
        record.reset();
        ticket.close(reason, error);
        return Stage::Done;
    }
    // Checked before the end of output is sent: it counts as unsent until the peer acknowledges it.
    skip_linger_if_acknowledged(&record, reason == Reason::Drained);
    record.flags.set(Flag::Closing);
    Stage::Closing {
        wait: None,
        reason,
        error,
    }
}

/// Skips the lingering for a client that sent nothing during the drain and has acknowledged all
/// bytes. Bytes inside a layer do not count as unsent, so the layer must be flushed before.
fn skip_linger_if_acknowledged(record: &Record, drained: bool) {
    if drained && record.is_flushed() && record.unsent() == Some(0) {
        record.flags.set(Flag::SkipLinger);
    }
}

/// Closes the stream. Ready when it is closed, or when the wait for the peer is over.
fn poll_close(
    ticket: &Ticket,
    wait: &mut Option<Box<CloseWait>>,
    drained: bool,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let Some(guard) = ticket.guard() else {
        return Poll::Ready(Ok(()));
    };
    let record = guard.owner();
    if let Some(wait) = wait {
        // Checked before a layer fills the room that the peer has made.
        wait.check(record);
    }
    let (ended, was_flushed) = (record.flags.has(Flag::Eof), guard.is_flushed());
    if let Poll::Ready(result) = guard.poll_linger(cx, ended) {
        // An error that follows from a reset by this server is not an error of the stream.
        let reset = record.flags.has(Flag::Reset);
        return Poll::Ready(result.or_else(|error| if reset { Ok(()) } else { Err(error) }));
    }
    skip_linger_if_acknowledged(record, drained && !was_flushed);
    let (flushed, skip_linger) = (guard.is_flushed(), record.flags.has(Flag::SkipLinger));
    if flushed && wait.as_ref().is_some_and(|before| !before.flushed) {
        // The wait for the peer's end of input starts now.
        *wait = None;
    }
    let ending = record.ending();
    if flushed && ending.is_some_and(|ending| ending.reason.is_refusal()) {
        // A refused peer is not waited for.
        return Poll::Ready(Ok(()));
    }
    loop {
        let current = wait.get_or_insert_with(|| Box::new(CloseWait::new(record, flushed)));
        current.check(record);
        let in_time = Pin::new(&mut current.sleep).poll(cx).is_pending();
        if in_time && !skip_linger {
            return Poll::Pending;
        }
        if flushed {
            return Poll::Ready(Ok(()));
        }
        // Flushing is bounded by the deadlines. If the connection was ended by a deadline or a
        // handle, its time is over.
        if record.ending().is_some() {
            guard.abort();
            return Poll::Ready(Ok(()));
        }
        // If `SkipLinger` is set before the stream is flushed, the end of the server resets the
        // connection next. A stream that cannot report its unsent bytes waits without a limit.
        if in_time || record.unsent().is_none() {
            return Poll::Pending;
        }
        // A socket waits as long as its peer accepts bytes, also through a layer.
        if !current.progressed {
            guard.abort();
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        *wait = None;
    }
}

impl CloseWait {
    fn new(record: &Record, flushed: bool) -> Self {
        // Clears earlier progress.
        record.send_progressed();
        let sleep = record.clock().sleep(LINGER_TIMEOUT);
        Self {
            sleep,
            flushed,
            progressed: false,
        }
    }

    fn check(&mut self, record: &Record) {
        if !self.flushed {
            self.progressed |= record.send_progressed();
        }
    }
}
