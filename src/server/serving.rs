//! One connection's task: calls the handler, catches its panics, ends the stream.

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

/// How long a closed connection may take to hear the end of its peer.
const LINGER: Duration = Duration::from_secs(2);

pin_project! {
    /// One connection being served: the future that a [`Server`](crate::Server) gives to its
    /// [`Spawn`](crate::Spawn). `H` is the handler, `C` its connection, `F` the handler's future.
    ///
    /// It never panics, whatever the handler does. Dropped before it is done, it resets the
    /// connection.
    ///
    /// # Examples
    ///
    /// A function that serves on any executor names it in its bounds:
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
        // Last, so that the permit is given back after everything else is gone.
        ticket: Ticket,
    }

    impl<H, C, F> PinnedDrop for Serving<H, C, F> {
        fn drop(this: Pin<&mut Self>) {
            // A panic in here would abort the process.
            let _ = catch_panic(|| this.project().stage.set(Stage::Done));
        }
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<H, C, F> {
        // Not called yet: the handler may block or panic in its first step, and does so here,
        // not in the accept loop.
        Called { call: Option<(H, C)> },
        Running { #[pin] handler: F },
        // The handler is gone; what it wrote is flushed, and the peer's end awaited.
        Closing { patience: Option<Box<Patience>>, reason: Reason, error: Option<io::Error> },
        Done,
    }
}

/// How long the peer is waited for.
struct Patience {
    sleep: Sleep,
    /// Whether all is flushed, so that it is only waited for its end.
    flushed: bool,
    /// Whether the peer has taken something since this began.
    taken: bool,
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
                    // A second panic, in the drop of what has panicked, adds nothing.
                    let _ = catch_panic(|| this.stage.set(Stage::Done));
                    this.ticket.close(Reason::Panic, Some(panic));
                    return Poll::Ready(());
                }
            }
        }
    }
}

/// The next stage, when this one is over. An error is a panic.
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
                // After the registration: whoever ends us later, wakes us.
                Poll::Pending if ticket.attend(cx) => return Ok(Poll::Pending),
                Poll::Pending => Ok(()),
            }
        }
        StageProjection::Closing {
            patience,
            reason,
            error,
        } => {
            let drained = *reason == Reason::Drained;
            let mut polled = catch_panic(|| poll_close(ticket, patience, drained, cx))?;
            if polled.is_pending() {
                ticket.attend(cx);
                // What it depends on may have come about before that.
                polled = catch_panic(|| poll_close(ticket, patience, drained, cx))?;
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

/// The stage after the handler, which has returned or was dropped.
fn closing<H, C, F>(ticket: &mut Ticket, error: Option<io::Error>) -> Stage<H, C, F> {
    let Some(record) = ticket.record().cloned() else {
        return Stage::Done;
    };
    // Read once: a verdict that comes now is met in the next stage.
    let verdict = record.verdict();
    let reason = match verdict {
        Some(verdict) => verdict.reason,
        None if error.is_some() => Reason::Error,
        None if record.flags.has(Flag::Drained) => Reason::Drained,
        None if record.flags.has(Flag::Eof) => Reason::Eof,
        None => Reason::Handler,
    };
    // What the handler makes of being ended is not its error, unless it has ended itself.
    let error = error.filter(|_| reason == Reason::Error);
    // A cut answer is not to look like a whole one.
    let cut = verdict.is_some() && record.is_writing() || record.bytes_dropped() > 0;
    if cut || verdict.is_some_and(|verdict| verdict.reset) {
        record.reset();
        ticket.close(reason, error);
        return Stage::Done;
    }
    // Before the end of output, which counts as unsent until the peer acknowledges it.
    hurry_if_acknowledged(&record, reason == Reason::Drained);
    record.flags.set(Flag::Closing);
    Stage::Closing {
        patience: None,
        reason,
        error,
    }
}

/// A client that was quiet for a whole drain is not lingered for if it has acknowledged all that was
/// written. What a layer keeps is not counted as unsent, so the layer is flushed first.
fn hurry_if_acknowledged(record: &Record, drained: bool) {
    if drained && record.is_flushed() && record.unsent() == Some(0) {
        record.flags.set(Flag::SkipLinger);
    }
}

/// Ready when the stream has ended as well as it will.
fn poll_close(
    ticket: &Ticket,
    patience: &mut Option<Box<Patience>>,
    drained: bool,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let Some(guard) = ticket.guard() else {
        return Poll::Ready(Ok(()));
    };
    let record = guard.host();
    if let Some(patient) = patience {
        // Before a layer fills the room that was made.
        patient.look(record);
    }
    let (ended, was_flushed) = (record.flags.has(Flag::Eof), guard.is_flushed());
    if let Poll::Ready(result) = guard.poll_linger(cx, ended) {
        // What follows from our own reset is not an error of the stream's.
        let reset = record.flags.has(Flag::Reset);
        return Poll::Ready(result.or_else(|error| if reset { Ok(()) } else { Err(error) }));
    }
    hurry_if_acknowledged(record, drained && !was_flushed);
    let (flushed, hurry) = (guard.is_flushed(), record.flags.has(Flag::SkipLinger));
    if flushed && patience.as_ref().is_some_and(|before| !before.flushed) {
        // It has had no time to end yet.
        *patience = None;
    }
    let verdict = record.verdict();
    if flushed && verdict.is_some_and(|verdict| verdict.reason.is_refusal()) {
        // The peer of one that is refused is not waited for.
        return Poll::Ready(Ok(()));
    }
    loop {
        let patient = patience.get_or_insert_with(|| Box::new(Patience::new(record, flushed)));
        patient.look(record);
        let waits = Pin::new(&mut patient.sleep).poll(cx).is_pending();
        if waits && !hurry {
            return Poll::Pending;
        }
        if flushed {
            return Poll::Ready(Ok(()));
        }
        // What is not flushed yet is not a matter of patience, but of the deadlines; and one of
        // these has passed where the connection was ended from outside.
        if record.verdict().is_some() {
            guard.abort();
            return Poll::Ready(Ok(()));
        }
        // Whoever has us hurry is about to end us. Not every stream knows what its peer takes.
        if waits || record.unsent().is_none() {
            return Poll::Pending;
        }
        // A socket's peer is waited for as long as it takes something, also through a layer.
        if !patient.taken {
            guard.abort();
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        *patience = None;
    }
}

impl Patience {
    fn new(record: &Record, flushed: bool) -> Self {
        // What was taken before does not count.
        record.send_progressed();
        let clock = record.context().map(|context| context.clock.clone());
        let sleep = clock.unwrap_or_default().sleep(LINGER);
        Self {
            sleep,
            flushed,
            taken: false,
        }
    }

    fn look(&mut self, record: &Record) {
        if !self.flushed {
            self.taken |= record.send_progressed();
        }
    }
}
