//! The state that the halves of a TLS connection, its handshake and its link share.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, Waker, ready};

use futures_lite::{AsyncRead, AsyncWrite};

use super::session::{Records, Scatter, Session};
use crate::connection::{Chunk, Link, Peer, SharedStream, WakerPair};
use crate::reason::Reason;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// Reads of the stream in one poll, if they bring no payload. After that, other tasks run first.
const READS_PER_POLL: usize = 2;

/// The state of one TLS connection.
///
/// Each half polls its own half of the stream beneath, so each has its own waker there. The session
/// is locked only between these polls. The reader helps the writer when it waits itself: a write was
/// accepted, and the stream took only a part of its records; or the session has answers, such as
/// tickets. If the peer has sent a wrong record, the reader sends the alert.
pub(super) struct Shared<R, W> {
    session: Mutex<Session>,
    pub(super) reader: SharedStream<R>,
    pub(super) writer: SharedStream<Outgoing<W>>,
    /// The wakers of the writing task (the first) and of the reading task.
    wakers: Arc<WakerPair>,
    /// Records of an accepted write wait for room in the stream. It changes only while the writer is
    /// locked.
    is_waiting: AtomicBool,
    /// The writer is closed.
    pub(super) is_closed: AtomicBool,
    /// The number of halves that exist.
    halves: AtomicU8,
    /// The peer of the connection beneath.
    pub(super) peer: Peer,
    /// The link of the stream beneath, if there is one besides that of a socket.
    pub(super) beneath: Option<Arc<dyn Link>>,
}

/// The writing half beneath, and the records that it has not taken yet.
pub(super) struct Outgoing<W> {
    io: W,
    records: Option<Records>,
    /// An error of the stream after the write was accepted. The next call returns it.
    error: Option<io::Error>,
}

impl<R, W> Shared<R, W> {
    pub(super) fn new(session: Session, reader: R, writer: W, peer: Peer) -> Self {
        let outgoing = Outgoing {
            io: writer,
            records: None,
            error: None,
        };
        Self {
            session: Mutex::new(session),
            reader: SharedStream::new(reader),
            writer: SharedStream::new(outgoing),
            wakers: Arc::default(),
            is_waiting: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            halves: AtomicU8::new(2),
            peer,
            beneath: None,
        }
    }

    pub(super) fn drop_half(&self) {
        self.halves.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn has_halves(&self) -> bool {
        self.halves.load(Ordering::Acquire) > 0
    }

    /// Wakes the tasks of both halves.
    pub(super) fn wake(&self) {
        self.wakers.first.wake();
        self.wakers.second.wake();
    }

    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Shared<R, W> {
    /// Reads payload into buffers of which one has room.
    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        for _ in 0..READS_PER_POLL {
            let read = self.session().read(&mut Scatter::new(bufs));
            match read {
                Ok(Some(n)) => return Poll::Ready(Ok(n)),
                Ok(None) => ready!(self.poll_receive(cx))?,
                Err(error) => {
                    if error.kind() == ErrorKind::UnexpectedEof {
                        self.peer.record().set_cause(Reason::Truncated);
                    }
                    self.send_alert();
                    return Poll::Ready(Err(error));
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits for bytes of the stream, and gives them to the session.
    pub(super) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let held = self.session().held();
        // Registered first, so that no wake during the poll is missed.
        self.wakers.second.register(cx.waker());
        let mut bytes = Chunk::default();
        let polled = self.reader.poll(|mut reader| {
            bytes.poll_fill_behind(held, |room| reader.as_mut().poll_read(cx, room))
        });
        match polled {
            Poll::Ready(Ok(())) => self.session().receive(bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let has_answers = {
                    let mut session = self.session();
                    if held > 0 {
                        session.wait();
                    }
                    session.has_answers()
                };
                // The peer may wait for the answers, or hold bytes back until it gets a packet.
                if has_answers || self.is_waiting.load(Ordering::Acquire) {
                    self.send_waiting();
                }
            }
        }
        polled
    }
}

impl<R, W: AsyncWrite + Unpin> Shared<R, W> {
    /// Encrypts and sends payload, at most 64 KiB.
    pub(super) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let (n, is_sent) = ready!(self.poll_writer(cx, |outgoing, cx| {
            ready!(self.poll_sent(outgoing, cx))?;
            let mut records = Records::new();
            let written = self.session().write(bufs, &mut records);
            if written.is_err() {
                // The alert, if the session has failed.
                records = self.session().take_answers().into();
            }
            let is_sent = outgoing.send(records, cx);
            self.is_waiting.store(!is_sent, Ordering::Release);
            Poll::Ready(written.map(|n| (n, is_sent)))
        }))?;
        if !is_sent {
            self.send_waiting();
        }
        Poll::Ready(Ok(n))
    }

    /// Sends what is encrypted so far, and flushes the stream.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_writer(cx, |outgoing, cx| self.poll_flushed(outgoing, cx))
    }

    /// Sends `close_notify`, and closes the stream. Does nothing the second time.
    pub(super) fn poll_close(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_closed.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        let closed = ready!(self.poll_writer(cx, |outgoing, cx| {
            ready!(self.poll_sent(outgoing, cx))?;
            let mut records = Records::new();
            self.session().close(&mut records)?;
            outgoing.records = Some(records);
            ready!(self.poll_flushed(outgoing, cx))?;
            Pin::new(&mut outgoing.io).poll_close(cx)
        }));
        self.is_closed.store(true, Ordering::Release);
        Poll::Ready(closed)
    }

    /// Polls the writer, at first with the waker of the task alone, which costs less.
    fn poll_writer<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Outgoing<W>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let polled = self.writer.poll(|mut outgoing| poll(&mut outgoing, cx));
        if polled.is_ready() {
            return polled;
        }
        self.wakers.first.register(cx.waker());
        self.poll_with_both(poll)
    }

    /// Polls the writer with a waker that wakes the tasks of both halves.
    fn poll_with_both<T>(
        &self,
        mut poll: impl FnMut(&mut Outgoing<W>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let both = Waker::from(self.wakers.clone());
        let mut cx = Context::from_waker(&both);
        self.writer
            .poll(|mut outgoing| poll(&mut outgoing, &mut cx))
    }

    /// Sends the records that wait. Returns the error of an earlier call, if there is one.
    fn poll_sent(&self, outgoing: &mut Outgoing<W>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = outgoing.error.take() {
            return Poll::Ready(Err(error));
        }
        ready!(outgoing.poll_send(cx))?;
        self.is_waiting.store(false, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_flushed(
        &self,
        outgoing: &mut Outgoing<W>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_sent(outgoing, cx))?;
        let answers = self.session().take_answers();
        outgoing.records = Some(answers.into());
        ready!(outgoing.poll_send(cx))?;
        Pin::new(&mut outgoing.io).poll_flush(cx)
    }

    /// Sends the records that wait and the answers, as far as the stream takes them. It wakes both
    /// tasks when it takes more.
    fn send_waiting(&self) {
        let sent = self.poll_with_both(|outgoing, cx| {
            self.is_waiting.store(true, Ordering::Release);
            let mut sent = ready!(outgoing.poll_send(cx));
            if sent.is_ok() {
                let answers = self.session().take_answers();
                outgoing.records = Some(answers.into());
                sent = ready!(outgoing.poll_send(cx));
            }
            outgoing.error = sent.err().or_else(|| outgoing.error.take());
            self.is_waiting.store(false, Ordering::Release);
            Poll::Ready(Ok(()))
        });
        if sent.is_ready() {
            // It may wait until they are sent.
            self.wakers.first.wake();
        }
    }

    /// Sends the alert of a session that has failed, behind the records that wait.
    pub(super) fn send_alert(&self) {
        if self.session().has_failed() {
            self.send_waiting();
        }
    }
}

impl<W: AsyncWrite + Unpin> Outgoing<W> {
    /// Sends records. Returns false if some of them wait for room. The next call returns an error.
    fn send(&mut self, records: Records, cx: &mut Context<'_>) -> bool {
        self.records = Some(records);
        match self.poll_send(cx) {
            Poll::Ready(sent) => {
                self.error = sent.err();
                true
            }
            Poll::Pending => false,
        }
    }

    /// Sends the records that wait. They stay after an error, and the next call tries again.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(records) = self.records.as_mut().filter(|records| !records.is_empty()) {
            match Pin::new(&mut self.io).poll_write(cx, records.as_slice()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => records.advance(n),
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    records.shrink();
                    return Poll::Pending;
                }
            }
        }
        self.records = None;
        Poll::Ready(Ok(()))
    }
}
