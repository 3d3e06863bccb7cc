//! Standard input and output as a connection.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::descriptor::{FdReader, FdWriter};
use halves::listener::stdio;
use halves::{Connection, Executor, Once, serve};
use rustix::stdio::{dup2_stdin, dup2_stdout};

use crate::support::conformance;
use crate::support::leftovers;
use crate::support::place;

type Far = Connection<FdReader, FdWriter>;

/// Replaces standard input and output by pipes. Returns a connection of the standard streams, and
/// one of the other ends.
fn on_pipes() -> io::Result<(Connection, Far)> {
    let ((input, to), (from, output)) = (io::pipe()?, io::pipe()?);
    plug(input.into(), output.into())?;
    let far = Connection::new(FdReader::new(from)?, FdWriter::new(to)?);
    Ok((stdio()?, far))
}

/// As [`on_pipes`], with two separate sockets.
fn on_sockets() -> io::Result<(Connection, Far)> {
    let ((input, to), (from, output)) = (UnixStream::pair()?, UnixStream::pair()?);
    plug(input.into(), output.into())?;
    let far = Connection::new(FdReader::new(from)?, FdWriter::new(to)?);
    Ok((stdio()?, far))
}

fn plug(input: OwnedFd, output: OwnedFd) -> io::Result<()> {
    dup2_stdin(input)?;
    Ok(dup2_stdout(output)?)
}

/// Sends a word. A server ends the connection in order, or it is dropped.
async fn pass(n: usize, near: Connection, mut far: Far) -> io::Result<()> {
    far.writer.write_all(b"hello").await?;
    if n.is_multiple_of(2) {
        let ex = smol::LocalExecutor::new();
        let handler = async |mut c: Connection| {
            let mut word = [0; 5];
            c.reader.read_exact(&mut word).await?;
            c.writer.write_all(&word).await
        };
        ex.run(serve(&ex, Once::new(near), handler)).await?;
        far.reader.read_exact(&mut [0; 5]).await?;
    } else {
        drop(near);
    }
    assert_eq!(far.reader.read(&mut [0]).await?, 0);
    Ok(())
}

pub(crate) fn standard_streams_conform_and_leave_nothing() {
    for on in [on_pipes, on_sockets] {
        let check = || conformance::check(conformance::LARGE_TRANSFER_BYTES, async || on());
        Executor::new().block_on(check());
        smol::block_on(check());
    }
    let dir = place::dir();
    leftovers::leaves_nothing(dir.path(), "standard streams", async |n| {
        let (near, far) = on_pipes()?;
        pass(n, near, far).await
    });
}
