//! Standard input and output as a connection.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncRead, AsyncWrite};
use rustix::fs::{FileType, Stat, fstat};
use rustix::net::{Shutdown, shutdown};

use super::given::{Given, are_one_stream, given};
use crate::address::ListenOptions;
use crate::connection::{Connection, Endpoint, Peer, flush_on_close};
use crate::descriptor::{FdReader, FdWriter};

/// Standard input and output as one connection.
///
/// Pipes and terminals are opened once more (through `/proc`, on Linux), and the new descriptors
/// are watched: who shares the old ones, such as a shell, finds them as blocking as they were.
/// Where that is refused, and for files, a thread of the blocking pool does the work.
///
/// Whoever is at the other end of a pipe sees when its half is done: when the writer is closed or
/// dropped, and standard output is a pipe, `/dev/null` takes its place in this process; likewise for
/// the reader and standard input. Of two sockets, the writing side of the one and the reading side of
/// the other are shut down. What was written is flushed when the server ends the connection.
///
/// Where both are one stream socket, as under inetd, tcpserver or sshd, the connection is that
/// socket: its peer is who is at the other end, and it ends as a socket does.
///
/// # Errors
///
/// What the system says when it cannot give us a descriptor of our own for them;
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for a socket that listens, which `fd:0` serves, and
/// for one of datagrams or the like.
///
/// # Examples
///
/// ```no_run
/// use halves::{Connection, Executor, Once, serve, service};
/// use halves::listener::stdio;
///
/// let ex = Executor::new();
/// let listener = Once::new(stdio()?);
/// ex.block_on(serve(&ex, listener, async |Connection { reader, writer, .. }| {
///     service::upper(reader, writer).await
/// }))?;
/// # std::io::Result::Ok(())
/// ```
pub fn stdio() -> io::Result<Connection> {
    if are_one_stream(io::stdin(), io::stdout())? {
        return socket();
    }
    // Not std's handles, which have buffers and locks.
    let input = FdReader::shared(io::stdin().as_fd())?;
    let output = FdWriter::shared(io::stdout().as_fd())?;
    let input = Standard::new(input, Stream::Input)?;
    let (output, link) = flush_on_close(Standard::new(output, Stream::Output)?);
    let mut peer = Peer::new(Endpoint::Stdio, Endpoint::Stdio).with_link(link);
    let kind = FileType::from_raw_mode(Stream::Output.stat()?.st_mode);
    if kind == FileType::CharacterDevice {
        peer = peer.without_half_close();
    }
    Ok(Connection::from_parts(input, output, peer).erase())
}

fn socket() -> io::Result<Connection> {
    match given(
        io::stdin().as_fd().try_clone_to_owned()?,
        &ListenOptions::default(),
    )? {
        Given::Connection(connection) => Ok(connection),
        Given::Listener(_) => {
            let problem = "standard input is a socket that listens; write fd:0 for that";
            Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
        }
    }
}

/// A half, and the standard descriptor that holds the same pipe open.
struct Standard<T> {
    /// None when it is done.
    half: Option<T>,
    stream: Stream,
    /// What the descriptor was in the beginning.
    was: Stat,
}

#[derive(Clone, Copy)]
enum Stream {
    Input,
    Output,
}

impl<T> Standard<T> {
    fn new(half: T, stream: Stream) -> io::Result<Self> {
        Ok(Self {
            half: Some(half),
            stream,
            was: stream.stat()?,
        })
    }

    fn half(&mut self) -> io::Result<Pin<&mut T>>
    where
        T: Unpin,
    {
        let half = self.half.as_mut();
        half.map(Pin::new)
            .ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    fn end(&mut self) {
        if self.half.take().is_some() {
            // If that fails, the other end sees it when the process exits.
            let _ = self.stream.let_go(&self.was);
        }
    }
}

impl Stream {
    fn stat(self) -> io::Result<Stat> {
        Ok(match self {
            Self::Input => fstat(io::stdin())?,
            Self::Output => fstat(io::stdout())?,
        })
    }

    /// Puts `/dev/null` in the place of a pipe, and shuts down a socket, if it is still the one that
    /// it was.
    fn let_go(self, was: &Stat) -> io::Result<()> {
        let is = self.stat()?;
        if (is.st_dev, is.st_ino) != (was.st_dev, was.st_ino) {
            return Ok(());
        }
        match (FileType::from_raw_mode(is.st_mode), self) {
            (FileType::Fifo, Self::Input) => {
                rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
            }
            (FileType::Fifo, Self::Output) => {
                rustix::stdio::dup2_stdout(File::create("/dev/null")?)?;
            }
            (FileType::Socket, Self::Input) => shutdown(io::stdin(), Shutdown::Read)?,
            (FileType::Socket, Self::Output) => shutdown(io::stdout(), Shutdown::Write)?,
            _ => {}
        }
        Ok(())
    }
}

impl<T> Drop for Standard<T> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Standard<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.half()?.poll_read(cx, buf)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.half()?.poll_read_vectored(cx, bufs)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Standard<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.half()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.half()?.poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.half()?.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Ok(half) = self.half() else {
            return Poll::Ready(Ok(()));
        };
        let closed = ready!(half.poll_close(cx));
        self.end();
        Poll::Ready(closed)
    }
}
