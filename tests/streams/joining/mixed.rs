//! A reader of one transport with a writer of another.

use std::fs;
use std::io::{self, Read};

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future};
use halves::descriptor::{FdReader, FdWriter};
use halves::listener::files;
use halves::listener::memory;
use halves::{Connection, Executor, Once, bind, connect, serve, service};

use crate::support::conformance;
use crate::support::place;

async fn tcp() -> io::Result<(Connection, Connection)> {
    let mut listeners = bind("127.0.0.1:0").await?;
    let address = listeners.local_addrs()[0].to_string();
    let near = connect(address.as_str());
    let (near, far) = future::try_zip(near, halves::Listener::accept(&mut listeners)).await?;
    Ok((near, far.expect("one has connected")))
}

#[test]
fn tcp_one_way_and_memory_the_other_conform() {
    Executor::new().block_on(conformance::check(300_000, async || {
        let (near, far) = tcp().await?;
        let (here, there) = memory::pair(1000);
        Ok((
            Connection::new(near.reader, here.writer),
            Connection::new(there.reader, far.writer).erase(),
        ))
    }));
}

#[test]
fn a_pipe_one_way_and_tcp_the_other_conform() {
    Executor::new().block_on(conformance::check(
        conformance::LARGE_TRANSFER_BYTES,
        async || {
            let (near, far) = tcp().await?;
            let (from, to) = io::pipe()?;
            Ok((
                Connection::new(FdReader::new(from)?, near.writer),
                Connection::new(far.reader, FdWriter::new(to)?),
            ))
        },
    ));
}

/// Serves capital letters on these halves, to the end.
fn shout<R, W>(ex: &Executor, reader: R, writer: W)
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let listener = Once::new(Connection::new(reader, writer).erase());
    let handler = async |Connection { reader, writer, .. }| service::upper(reader, writer).await;
    let report = ex.block_on(serve(ex, listener, handler));
    let report = report.expect("it serves");
    assert_eq!((report.finished, report.aborted), (1, 0));
}

/// A handler may write to one transport what it reads from another.
#[test]
fn files_pipes_tcp_and_memory_are_combined() -> io::Result<()> {
    let dir = place::dir();
    let (request, reply) = (dir.path().join("request"), dir.path().join("reply"));
    fs::write(&request, "hello")?;
    let ex = Executor::new();
    let file = || ex.block_on(files(&request, &reply));

    let (mut near, far) = ex.block_on(tcp())?;
    shout(&ex, file()?.reader, far.writer);
    let mut received = String::new();
    ex.block_on(near.reader.read_to_string(&mut received))?;
    assert_eq!(received, "HELLO");

    let (mut near, far) = ex.block_on(tcp())?;
    ex.block_on(async {
        near.writer.write_all(b"by tcp").await?;
        near.writer.close().await
    })?;
    shout(&ex, far.reader, file()?.writer);
    assert_eq!(fs::read(&reply)?, b"BY TCP");

    let (mut from, to) = io::pipe()?;
    shout(&ex, file()?.reader, FdWriter::new(to)?);
    received.clear();
    from.read_to_string(&mut received)?;
    assert_eq!(received, "HELLO");

    let (mut here, there) = memory::pair(16);
    shout(&ex, file()?.reader, there.writer);
    received.clear();
    ex.block_on(here.reader.read_to_string(&mut received))?;
    assert_eq!(received, "HELLO");
    Ok(())
}
