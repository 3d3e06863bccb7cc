//! Copies between a connection and the pipes of a child.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncRead, AsyncWrite};
use rustix::io::Errno;

use crate::connection::{Chunk, Connection, Reader, Writer, is_gone};
use crate::descriptor::FdWriter;
use crate::reactor::WatchedFd;

/// The server's ends of the pipes.
pub(super) struct ChildPipes {
    input: FdWriter,
    output: WatchedFd,
}

/// The copies in both directions.
pub(super) struct Pipes<R, W> {
    input: Option<Input<R>>,
    /// A connection that cannot be closed in one direction stays open until the exit.
    output: Option<Output<W>>,
    /// The first error of the connection.
    error: Option<io::Error>,
}

/// From the client to the child.
struct Input<R> {
    from: Reader<R>,
    to: FdWriter,
    chunk: Chunk,
}

/// From the child to the client.
struct Output<W> {
    from: WatchedFd,
    to: Writer<W>,
    chunk: Chunk,
    /// Bytes left in the pipe since the child has exited. Processes that left its group may write
    /// more, which is not copied.
    left: Option<u64>,
    ended: bool,
}

impl ChildPipes {
    /// Makes two pipes. Also returns the child's ends.
    pub(super) fn new() -> io::Result<(Self, [OwnedFd; 2])> {
        let (output, stdout) = io::pipe()?;
        let (stdin, input) = io::pipe()?;
        let output = OwnedFd::from(output);
        rustix::io::ioctl_fionbio(&output, true)?;
        let pipes = Self {
            input: FdWriter::new(input)?,
            output: WatchedFd::new(output),
        };
        Ok((pipes, [stdin.into(), stdout.into()]))
    }
}

impl<R, W> Pipes<R, W>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    pub(super) fn new(connection: Connection<R, W>, pipes: ChildPipes) -> Self {
        let Connection { reader, writer, .. } = connection;
        Self {
            input: Some(Input {
                from: reader,
                to: pipes.input,
                chunk: Chunk::default(),
            }),
            output: Some(Output {
                from: pipes.output,
                to: writer,
                chunk: Chunk::default(),
                left: None,
                ended: false,
            }),
            error: None,
        }
    }

    /// Copies as far as both sides allow.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some(input) = &mut self.input
            && let Poll::Ready(ended) = input.poll(cx)
        {
            // The drop ends the child's input.
            self.input = None;
            self.record(ended);
        }
        if let Some(output) = &mut self.output
            && let Poll::Ready(ended) = output.poll(cx)
        {
            // After an error, the drop makes writes of the child fail.
            self.output = None;
            self.record(ended);
        }
    }

    /// Copies the rest of the output, after the child has exited.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(output) = &mut self.output else {
            return Poll::Ready(());
        };
        output.exited();
        let ended = ready!(output.poll(cx));
        self.output = None;
        self.record(ended);
        Poll::Ready(())
    }

    fn record(&mut self, ended: io::Result<()>) {
        if self.error.is_none() {
            self.error = ended.err();
        }
    }

    pub(super) fn result(self) -> io::Result<()> {
        self.error.map_or(Ok(()), Err)
    }
}

impl<R: AsyncRead + Unpin> Input<R> {
    /// Ready when the client has ended its side, or the child its input.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while !self.chunk.is_empty() {
                match ready!(Pin::new(&mut self.to).poll_write(cx, &self.chunk)) {
                    Ok(n) => self.chunk.advance(n),
                    Err(error) if is_gone(&error) => return Poll::Ready(Ok(())),
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            let from = &mut self.from;
            ready!(
                self.chunk
                    .poll_fill(|buf| Pin::new(from).poll_read(cx, buf))
            )?;
            if self.chunk.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<W: AsyncWrite + Unpin> Output<W> {
    /// The child has exited.
    fn exited(&mut self) {
        if self.left.is_none() {
            let left = rustix::io::ioctl_fionread(&self.from);
            self.left = Some(left.unwrap_or(u64::MAX));
        }
    }

    /// Ready when the child has ended its output, and the client has all of it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while !self.chunk.is_empty() {
                match ready!(Pin::new(&mut self.to).poll_write(cx, &self.chunk))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    n => self.chunk.advance(n),
                }
            }
            if self.ended {
                return self.poll_end(cx);
            }
            ready!(self.poll_fill(cx))?;
            self.ended = self.chunk.is_empty();
        }
    }

    /// Ends the client's input, unless that would end the connection before the child has exited.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.left.is_some() || self.to.peer().can_half_close() {
            return Pin::new(&mut self.to).poll_close(cx);
        }
        Poll::Pending
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (from, left) = (&self.from, &mut self.left);
        self.chunk.poll_fill(|buf| {
            let Some(left) = left else {
                return from.poll_read(cx, buf.len(), |fd| rustix::io::read(fd, &mut *buf));
            };
            let room = buf.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
            let read = rustix::io::retry_on_intr(|| rustix::io::read(from, &mut buf[..room]));
            Poll::Ready(match read {
                Ok(n) => {
                    *left -= n as u64;
                    Ok(n)
                }
                Err(Errno::AGAIN) => Ok(0),
                Err(error) => Err(error.into()),
            })
        })
    }
}
