//! One connection's task: calls the handler, catches its panics, ends the stream.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::state::Ticket;
use crate::catch::guard;
use crate::stats::Reason;
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
    /// use halves::{Connection, Report, Serving, Spawn, listener::memory::*, serve};
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
            let _ = guard(|| this.project().stage.set(Stage::Done));
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
        Closing { patience: Option<Box<Sleep>>, reason: Reason, error: Option<io::Error> },
        Done,
    }
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
        this.ticket.record().task.register(cx.waker());
        this.ticket.look();
        loop {
            let next = match this.stage.as_mut().project() {
                // After the registration: whoever ends us later, wakes us.
                StageProjection::Called { .. } | StageProjection::Running { .. }
                    if this.ticket.record().verdict().is_some() =>
                {
                    guard(|| this.stage.set(Stage::Done)).map(|()| closing(this.ticket, None))
                }
                StageProjection::Called { call } => match call.take() {
                    Some((handler, connection)) => {
                        guard(|| handler(connection)).map(|handler| Stage::Running { handler })
                    }
                    None => return Poll::Ready(()),
                },
                StageProjection::Running { handler } => match guard(|| handler.poll(cx)) {
                    Ok(Poll::Pending) => return Poll::Pending,
                    Ok(Poll::Ready(result)) => guard(|| this.stage.set(Stage::Done))
                        .map(|()| closing(this.ticket, result.err())),
                    Err(panic) => Err(panic),
                },
                StageProjection::Closing {
                    patience,
                    reason,
                    error,
                } => match guard(|| poll_close(this.ticket, patience, cx)) {
                    Ok(Poll::Pending) => return Poll::Pending,
                    Ok(Poll::Ready(result)) => {
                        let (reason, error) = match (result, error.take()) {
                            (Ok(()), error) => (*reason, error),
                            (Err(late), None) => (Reason::Error, Some(late)),
                            (Err(_), first) => (*reason, first),
                        };
                        this.ticket.close(reason, error);
                        Ok(Stage::Done)
                    }
                    Err(panic) => Err(panic),
                },
                StageProjection::Done => return Poll::Ready(()),
            };
            match next {
                Ok(stage) => this.stage.set(stage),
                Err(panic) => {
                    this.ticket.record().abort(Reason::Panic);
                    // A second panic, in the drop of what has panicked, adds nothing.
                    let _ = guard(|| this.stage.set(Stage::Done));
                    this.ticket.close(Reason::Panic, Some(panic));
                }
            }
        }
    }
}

/// The stage after the handler, which has returned or was dropped.
fn closing<H, C, F>(ticket: &mut Ticket, error: Option<io::Error>) -> Stage<H, C, F> {
    let record = ticket.record();
    // Read once: a verdict that comes now is met in the next stage.
    let verdict = record.verdict();
    let reason = match verdict {
        Some(verdict) => verdict.reason,
        None if error.is_some() => Reason::Error,
        None if record.drained.load(Ordering::Relaxed) => Reason::Drained,
        None if record.eof.load(Ordering::Relaxed) => Reason::Eof,
        None => Reason::Handler,
    };
    match verdict {
        // What the handler makes of being ended is not its error.
        Some(verdict) if verdict.reset || record.is_blocked() => {
            record.reset();
            ticket.close(reason, None);
            Stage::Done
        }
        _ => {
            record.closing.store(true, Ordering::Release);
            Stage::Closing {
                patience: None,
                reason,
                error: error.filter(|_| verdict.is_none()),
            }
        }
    }
}

/// Ready when the stream has ended as well as it will.
fn poll_close(
    ticket: &Ticket,
    patience: &mut Option<Box<Sleep>>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let record = ticket.record();
    let Some(link) = record.link() else {
        return Poll::Ready(Ok(()));
    };
    let ended = record.eof.load(Ordering::Relaxed);
    if let Poll::Ready(result) = link.poll_linger(cx, ended) {
        return Poll::Ready(result);
    }
    let sleep = patience.get_or_insert_with(|| Box::new(ticket.home().clock.sleep(LINGER)));
    let over = Pin::new(&mut **sleep).poll(cx).is_ready() || record.hurry.load(Ordering::Acquire);
    // What is not flushed yet is not a matter of patience, but of the deadlines; and one of these
    // has passed where the connection was ended from outside.
    match link.is_flushed() {
        true if over => Poll::Ready(Ok(())),
        false if over && record.verdict().is_some() => {
            link.abort();
            Poll::Ready(Ok(()))
        }
        _ => Poll::Pending,
    }
}
