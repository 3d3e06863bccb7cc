//! One connection that is there already: standard input and output, files, any two halves.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use futures_lite::{AsyncRead, AsyncWrite};
use rustix::event::{PollFd, PollFlags, poll};
use smol::Unblock;

use super::Listener;
use super::given::{Given, are_one_stream, given};
use crate::connection::{Connection, Endpoint, Peer, keep};

/// What is read or written at once by the thread that does the blocking calls.
const CHUNK: usize = 64 * 1024;

/// A listener that yields one connection and ends.
///
/// # Examples
///
/// Serve two halves of your own, here a slice and a `Vec`:
///
/// ```
/// use halves::{Connection, Executor, Once, serve, service};
///
/// let ex = Executor::new();
/// let listener = Once::new(Connection::new(&b"hello"[..], vec![]));
/// let report = ex.block_on(serve(&ex, listener, async |Connection { reader, writer, .. }| {
///     service::upper(reader, writer).await
/// }))?;
/// assert_eq!(report.stats.bytes_out, 5);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Once<R, W>(Option<Connection<R, W>>);

impl<R, W> Once<R, W> {
    /// Yields `connection`, then the end.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::io::{empty, sink};
    /// use halves::{Connection, Once};
    ///
    /// let listener = Once::new(Connection::new(empty(), sink()));
    /// # drop(listener);
    /// ```
    pub fn new(connection: Connection<R, W>) -> Self {
        Self(Some(connection))
    }

    pub(super) fn peek(&self) -> Option<&Connection<R, W>> {
        self.0.as_ref()
    }

    pub(super) fn take(&mut self) -> Option<Connection<R, W>> {
        self.0.take()
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Listener for Once<R, W> {
    type Reader = R;
    type Writer = W;

    async fn accept(&mut self) -> io::Result<Option<Connection<R, W>>> {
        Ok(self.take())
    }
}

/// Standard input and output as one connection. The blocking calls are made on threads of the
/// blocking pool, 64 KiB at a time; what was written is flushed when the server ends the
/// connection.
///
/// Where both are one stream socket, as under inetd, tcpserver or sshd, the connection is that
/// socket: its peer is who is at the other end, and it ends as a socket does.
///
/// # Errors
///
/// What the system says when it cannot give us a descriptor of our own for them;
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for a socket that listens, which `fd:0` serves.
///
/// # Examples
///
/// ```no_run
/// use halves::{Connection, Executor, Once, serve, service, stdio};
///
/// let ex = Executor::new();
/// let listener = Once::new(stdio()?);
/// ex.block_on(serve(&ex, listener, async |Connection { reader, writer, .. }| {
///     service::upper(reader, writer).await
/// }))?;
/// # std::io::Result::Ok(())
/// ```
pub fn stdio() -> io::Result<Connection> {
    // Our own descriptors: std's handles have buffers and locks of their own.
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    if !are_one_stream(&input, &output)? {
        return Ok(blocking(input.into(), output.into(), Endpoint::Stdio));
    }
    match given(input)? {
        Given::Connection(connection) => Ok(connection),
        Given::Listener(_) => {
            let problem = "standard input is a socket that listens; write fd:0 for that";
            Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
        }
    }
}

/// A file to read and a file to write, created or emptied, as one connection.
///
/// # Errors
///
/// What the system says when one of them cannot be opened.
///
/// # Examples
///
/// ```
/// use halves::{Connection, Executor, Once, files, serve, service};
///
/// # let dir = tempfile::tempdir()?;
/// # let (request, reply) = (dir.path().join("request"), dir.path().join("reply"));
/// std::fs::write(&request, "hello")?;
/// let ex = Executor::new();
/// ex.block_on(async {
///     let listener = Once::new(files(&request, &reply).await?);
///     serve(&ex, listener, async |Connection { reader, writer, .. }| {
///         service::upper(reader, writer).await
///     })
///     .await
/// })?;
/// assert_eq!(std::fs::read_to_string(&reply)?, "HELLO");
/// # std::io::Result::Ok(())
/// ```
pub async fn files(input: impl AsRef<Path>, output: impl AsRef<Path>) -> io::Result<Connection> {
    let (input, output) = (input.as_ref().to_owned(), output.as_ref().to_owned());
    let opened = smol::unblock(move || io::Result::Ok((File::open(input)?, File::create(output)?)));
    let (input, output) = opened.await?;
    Ok(blocking(input, output, Endpoint::Files))
}

fn blocking(input: File, output: File, endpoint: Endpoint) -> Connection {
    let [input, output] = [input, output].map(|file| Unblock::with_capacity(CHUNK, Patient(file)));
    let (output, link) = keep(output);
    let peer = Peer::new(endpoint.clone(), endpoint).with_link(link);
    Connection::from_parts(input, output, peer).erase()
}

/// A file on a thread that may wait. It waits also where somebody has made the file non-blocking:
/// that is a property of the terminal or pipe, and whoever shares it with us may set it.
struct Patient(File);

impl Patient {
    fn wait(
        &mut self,
        flags: PollFlags,
        mut io: impl FnMut(&File) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match io(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&self.0, flags)], None)?;
                }
                result => return result,
            }
        }
    }
}

impl Read for Patient {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.wait(PollFlags::IN, |mut file| file.read(buf))
    }
}

impl Write for Patient {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.wait(PollFlags::OUT, |mut file| file.write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
