//! Files, FIFOs, terminals and other devices as connections.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, open, stat};
use rustix::io::{Errno, retry_on_intr};

use super::retry_while;
use crate::blocking::unblock;
use crate::connection::{Connection, Endpoint, Peer, flush_on_close};
use crate::descriptor::{FdReader, FdWriter};

/// Opens one file to read and one to write as a connection. The file to write is created or
/// truncated. Either may be a device, such as `/dev/null`, or a FIFO.
///
/// A FIFO to read waits for its first writer and ends when its last writer closes it. A FIFO to
/// write can be opened only while a process reads it: the future retries every 50 ms until then.
/// For FIFOs that outlast their users, see [`fifos`].
///
/// Output is flushed when the server ends the connection. Cancel-safe, except that the file may
/// have been created or truncated.
///
/// # Errors
///
/// The error of the system if one of them cannot be opened.
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
            // A FIFO without a reader, or a missing device.
            if !is_fifo(output.to_owned()).await {
                return Err(error);
            }
            let attempt = || open_at_once(output, OFlags::WRONLY);
            retry_while(Errno::NXIO, attempt).await?
        }
        output => output?,
    };
    let (input, output) = (FdReader::named(input)?, FdWriter::new(output)?);
    Ok(connection(input, output, Endpoint::Files))
}

/// Opens two FIFOs as one connection that outlasts their users. The bytes of all writers of
/// `input`, one after another or at the same time, form one stream without an end. Output that no
/// process reads stays in the FIFO `output`, up to 64 KiB on Linux; then the writer waits.
///
/// Both are open for reading and writing, so a process that closes its side ends nothing. The
/// connection ends when the handler returns;
/// [`Reader::read_or_drain`](crate::Reader::read_or_drain) reports a drain. Output that is unread
/// at the end is lost: the system keeps no bytes of a FIFO that no process has open.
///
/// # Errors
///
/// The error of the system if one of them cannot be opened, and
/// [`InvalidInput`](io::ErrorKind::InvalidInput) if it is not a FIFO. FIFOs are not created: see
/// mkfifo(1).
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
    Ok(without_half_close(connection(
        input,
        output,
        Endpoint::Files,
    )))
}

/// Opens a terminal, a serial line or another two-way device as one connection.
///
/// Its mode does not change, and it does not become the controlling terminal. A device has no
/// half-close: it is closed when both halves are dropped.
///
/// # Errors
///
/// The error of the system if it cannot be opened, and
/// [`InvalidInput`](io::ErrorKind::InvalidInput) if it is not a character device.
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
    Ok(without_half_close(connection(
        FdReader::new(device)?,
        writer,
        endpoint,
    )))
}

fn connection(input: FdReader, output: FdWriter, endpoint: Endpoint) -> Connection {
    let (output, link) = flush_on_close(output);
    let peer = Peer::new(endpoint.clone(), endpoint).with_link(link);
    Connection::from_parts(input, output, peer).erase()
}

/// Marks a connection that can only end in both directions at once.
fn without_half_close(mut connection: Connection) -> Connection {
    connection.peer = connection.peer.without_half_close();
    connection
}

/// Opens a file without waiting for a peer, on a thread, as the file system may be slow.
async fn open_at_once(path: &Path, access: OFlags) -> io::Result<OwnedFd> {
    let path = path.to_owned();
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o666);
    unblock(move || Ok(retry_on_intr(|| open(&path, flags, mode))?)).await
}

fn expect(fd: &OwnedFd, kind: FileType, message: &str) -> io::Result<()> {
    if FileType::from_raw_mode(fstat(fd)?.st_mode) != kind {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(())
}

async fn is_fifo(path: PathBuf) -> bool {
    let stat = unblock(move || Ok(retry_on_intr(|| stat(&path))?)).await;
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}
