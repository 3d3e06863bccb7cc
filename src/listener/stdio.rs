//! Standard input and output as a connection.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncRead, AsyncWrite};
use rustix::fs::{FileType, Stat, fstat};
use rustix::net::{Shutdown as ShutdownHow, shutdown};

use super::adopt::{Adopted, adopt, are_one_stream};
use crate::address::ListenOptions;
use crate::connection::{Connection, Endpoint, Peer, flush_on_close};
use crate::descriptor::{FdReader, FdWriter, FileId};

/// Returns standard input and output as one connection.
///
/// Pipes and terminals are reopened (through `/proc`, on Linux) and the new descriptors are
/// watched. The old descriptors stay in blocking mode for other processes that share them, such as
/// a shell. If a stream cannot be reopened, and for files, a thread of the blocking pool reads and
/// writes.
///
/// The peer of a pipe sees the end of its half: when the writer is closed or dropped and standard
/// output is a pipe, `/dev/null` replaces standard output in this process; likewise for the reader
/// and standard input. If they are two sockets, the writing side of one and the reading side of the
/// other are shut down. Output is flushed when the server ends the connection.
///
/// If both are one stream socket, as under inetd, tcpserver or sshd, the connection is that socket,
/// with its peer and its end.
///
/// # Errors
///
/// The error of the system if they cannot be opened or duplicated;
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for a listening socket, which `fd:0` serves, and
/// for a socket that is not a stream, such as a datagram socket.
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
        return socket_connection();
    }
    // Not the handles of std, which have buffers and locks.
    let input = FdReader::shared(io::stdin().as_fd())?;
    let output = FdWriter::shared(io::stdout().as_fd())?;
    let input = StdioHalf::new(input, StdStream::Input)?;
    let (output, link) = flush_on_close(StdioHalf::new(output, StdStream::Output)?);
    let mut peer = Peer::new(Endpoint::Stdio, Endpoint::Stdio).with_link(link);
    let kind = FileType::from_raw_mode(StdStream::Output.stat()?.st_mode);
    if kind == FileType::CharacterDevice {
        peer = peer.without_half_close();
    }
    Ok(Connection::from_parts(input, output, peer).erase())
}

/// Returns standard input as a connection, if it is a connected socket.
fn socket_connection() -> io::Result<Connection> {
    match adopt(
        io::stdin().as_fd().try_clone_to_owned()?,
        &ListenOptions::default(),
    )? {
        Adopted::Connection(connection) => Ok(connection),
        Adopted::Listener(_) => {
            let message = "standard input is a socket that listens; write fd:0 for that";
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}

/// A half, and the standard stream that holds the same pipe open.
struct StdioHalf<T> {
    /// None after the end.
    half: Option<T>,
    stream: StdStream,
    /// The file that the standard stream referred to at the start.
    original: FileId,
}

#[derive(Clone, Copy)]
enum StdStream {
    Input,
    Output,
}

impl<T> StdioHalf<T> {
    fn new(half: T, stream: StdStream) -> io::Result<Self> {
        Ok(Self {
            half: Some(half),
            stream,
            original: FileId::of_stat(&stream.stat()?),
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
            // If this fails, the peer sees the end when the process exits.
            let _ = self.stream.release(self.original);
        }
    }
}

impl StdStream {
    fn stat(self) -> io::Result<Stat> {
        Ok(match self {
            Self::Input => fstat(io::stdin())?,
            Self::Output => fstat(io::stdout())?,
        })
    }

    /// Replaces a pipe by `/dev/null`, or shuts down a socket. Does nothing if the standard stream
    /// no longer refers to its original file.
    fn release(self, original: FileId) -> io::Result<()> {
        let current = self.stat()?;
        if FileId::of_stat(&current) != original {
            return Ok(());
        }
        match (FileType::from_raw_mode(current.st_mode), self) {
            (FileType::Fifo, Self::Input) => {
                rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
            }
            (FileType::Fifo, Self::Output) => {
                rustix::stdio::dup2_stdout(File::create("/dev/null")?)?;
            }
            (FileType::Socket, Self::Input) => shutdown(io::stdin(), ShutdownHow::Read)?,
            (FileType::Socket, Self::Output) => shutdown(io::stdout(), ShutdownHow::Write)?,
            _ => {}
        }
        Ok(())
    }
}

impl<T> Drop for StdioHalf<T> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for StdioHalf<T> {
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

impl<T: AsyncWrite + Unpin> AsyncWrite for StdioHalf<T> {
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
