//! Files, FIFOs, terminals and other devices as connections.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, open, stat};
use rustix::io::{Errno, retry_on_intr};

use super::retry;
use crate::blocking::unblock;
use crate::connection::{Connection, Endpoint, Peer, flush_on_close};
use crate::descriptor::{FdReader, FdWriter};

/// A file to read and a file to write, created or emptied, as one connection. Either may be a
/// device, such as `/dev/null`, or a FIFO.
///
/// A FIFO to read waits for its first writer, and ends when the last one has closed it, as it does
/// for any program. One to write is opened when another process reads it: the future waits for that,
/// and tries every 50 ms. For FIFOs that outlast their users, see [`fifos`].
///
/// What was written is flushed when the server ends the connection. Cancel-safe, but that the file
/// may have been created or emptied.
///
/// # Errors
///
/// What the system says when one of them cannot be opened.
///
/// # Examples
///
/// ```
/// use halves::{Connection, Executor, Once, serve, service};
/// use halves::listener::files;
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
    let input = open_at_once(input.as_ref(), OFlags::RDONLY).await?;
    let output = output.as_ref();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let output = match open_at_once(output, flags).await {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NXIO) => {
            // A FIFO that nobody reads; or there is no such device.
            if !is_fifo(output.to_owned()).await {
                return Err(error);
            }
            let attempt = || open_at_once(output, OFlags::WRONLY);
            retry::until_not(Errno::NXIO, attempt).await?
        }
        output => output?,
    };
    let (input, output) = (FdReader::named(input)?, FdWriter::new(output)?);
    Ok(connection(input, output, Endpoint::Files))
}

/// Two FIFOs as one connection that lasts: writers of `input` come and go, one after another or
/// together, and are read as one stream without an end; readers of `output` come and go, and
/// what is written meanwhile waits in the FIFO, 64 KiB on Linux, and then the writer waits.
///
/// Both are held open for reading and writing, so that nobody's leaving ends anything. The
/// connection ends when the handler does, which [`Reader::read_or_drain`](crate::Reader) tells of
/// a drain; what nobody has read from `output` then is gone, as the system keeps nothing of a FIFO
/// that no process has open.
///
/// # Errors
///
/// What the system says when one of them cannot be opened, and
/// [`InvalidInput`](io::ErrorKind::InvalidInput) when it is no FIFO. None is made: see mkfifo(1).
///
/// # Examples
///
/// ```no_run
/// use halves::{Connection, Executor, Once, serve, service};
/// use halves::listener::fifos;
///
/// let ex = Executor::new();
/// ex.block_on(async {
///     let listener = Once::new(fifos("/run/requests", "/run/replies").await?);
///     serve(&ex, listener, async |Connection { reader, writer, .. }| {
///         service::upper(reader, writer).await
///     })
///     .await
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub async fn fifos(input: impl AsRef<Path>, output: impl AsRef<Path>) -> io::Result<Connection> {
    let input = open_at_once(input.as_ref(), OFlags::RDWR).await?;
    let output = open_at_once(output.as_ref(), OFlags::RDWR).await?;
    for fifo in [&input, &output] {
        expect(fifo, FileType::Fifo, "it is not a FIFO")?;
    }
    let (input, output) = (FdReader::new(input)?, FdWriter::new(output)?);
    Ok(whole(connection(input, output, Endpoint::Files)))
}

/// A terminal, a serial line, or another device with one stream each way, as one connection.
///
/// It is left in the mode that it is in, and does not become the controlling terminal. No device
/// knows a half-close: the end comes when both halves are gone.
///
/// # Errors
///
/// What the system says when it cannot be opened, and
/// [`InvalidInput`](io::ErrorKind::InvalidInput) when it is no character device.
///
/// # Examples
///
/// ```
/// use futures_lite::AsyncReadExt;
///
/// # smol::block_on(async {
/// let mut nothing = [1; 4];
/// let mut connection = halves::listener::device("/dev/zero").await?;
/// connection.reader.read_exact(&mut nothing).await?;
/// assert_eq!(nothing, [0; 4]);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub async fn device(path: impl AsRef<Path>) -> io::Result<Connection> {
    let path = path.as_ref();
    let device = open_at_once(path, OFlags::RDWR).await?;
    expect(
        &device,
        FileType::CharacterDevice,
        "it is not a character device",
    )?;
    let writer = FdWriter::new(device.try_clone()?)?;
    let endpoint = Endpoint::Device(path.into());
    Ok(whole(connection(FdReader::new(device)?, writer, endpoint)))
}

fn connection(input: FdReader, output: FdWriter, endpoint: Endpoint) -> Connection {
    let (output, link) = flush_on_close(output);
    let peer = Peer::new(endpoint.clone(), endpoint).with_link(link);
    Connection::from_parts(input, output, peer).erase()
}

/// Neither of whose directions can end alone.
fn whole(mut connection: Connection) -> Connection {
    connection.peer = connection.peer.without_half_close();
    connection
}

/// Opens without waiting for whoever is at the other end. The file system may take its time.
async fn open_at_once(path: &Path, access: OFlags) -> io::Result<OwnedFd> {
    let path = path.to_owned();
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o666);
    unblock(move || Ok(retry_on_intr(|| open(&path, flags, mode))?)).await
}

fn expect(fd: &OwnedFd, kind: FileType, otherwise: &str) -> io::Result<()> {
    if FileType::from_raw_mode(fstat(fd)?.st_mode) != kind {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, otherwise));
    }
    Ok(())
}

async fn is_fifo(path: PathBuf) -> bool {
    let stat = unblock(move || Ok(retry_on_intr(|| stat(&path))?)).await;
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}
