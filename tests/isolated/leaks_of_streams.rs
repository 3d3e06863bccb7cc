//! Nothing is left of 3,000 connections of each kind, one after another: no descriptor, process,
//! file or thread. The test counts those of the whole process.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::descriptor::{FdReader, FdWriter};
use halves::listener::memory;
use halves::listener::{device, fifos, files};
use halves::process::Command;
use halves::{Connection, Listener, Listeners, Once, Peer, serve};

use crate::support::fifo::fifo;
use crate::support::leftovers::leaves_nothing;
use crate::support::namespace::wait_until;
use crate::support::place;
use crate::support::terminal::terminal;

/// Sends a word from one end to the other, and ends in one of several ways.
async fn pass<R1, W1, R2, W2>(
    n: usize,
    mut near: Connection<R1, W1>,
    mut far: Connection<R2, W2>,
) -> io::Result<()>
where
    W1: futures_lite::AsyncWrite + Unpin,
    R2: futures_lite::AsyncRead + Unpin,
{
    near.writer.write_all(b"hello").await?;
    near.writer.flush().await?;
    far.reader.read_exact(&mut [0; 5]).await?;
    match n % 4 {
        0 => near.writer.close().await?,
        1 => drop(far),
        2 => {
            // A read waits when the other end is dropped.
            let _ = future::poll_once(far.reader.read(&mut [0; 5])).await;
            drop(near);
        }
        _ => {}
    }
    Ok(())
}

pub(crate) fn nothing_is_left_of_3000_connections_of_each_kind() {
    let dir = place::dir();
    let dir = dir.path();
    let [there, back] = ["there", "back"].map(|name| fifo(dir, name));
    let (request, reply) = (dir.join("request"), dir.join("reply"));
    fs::write(&request, "hello").expect("a file");
    // Leaves what stays for good, such as the thread of async-io.
    let warm = async { files(&request, &reply).await.map(drop) };
    smol::block_on(warm).expect("files");

    leaves_nothing(dir, "pipes", async |n| {
        let ((from, to), (back, forth)) = (io::pipe()?, io::pipe()?);
        let near = Connection::new(FdReader::new(back)?, FdWriter::new(to)?);
        let far = Connection::new(FdReader::new(from)?, FdWriter::new(forth)?);
        pass(n, near, far.erase()).await
    });
    leaves_nothing(dir, "streams that are split", async |n| {
        let (near, far) = async_net::unix::UnixStream::pair()?;
        let [near, far] = [near, far].map(|end| Connection::from_stream(end, Peer::default()));
        pass(n, near, far.erase()).await
    });
    leaves_nothing(dir, "FIFOs", async |n| {
        let ends = future::try_zip(files(&back, &there), files(&there, &back));
        let (near, far) = ends.await?;
        pass(n, near, far).await
    });
    leaves_nothing(dir, "FIFOs that last", async |n| {
        let (near, far) = (fifos(&back, &there).await?, fifos(&there, &back).await?);
        pass(n, near, far).await
    });
    leaves_nothing(dir, "terminals", async |n| {
        let (person, program) = terminal()?;
        let name = rustix::termios::ttyname(&program, vec![])?;
        let far = device(name.to_str().expect("text")).await?;
        let writer = FdWriter::new(person.try_clone()?)?;
        pass(n, Connection::new(FdReader::new(person)?, writer), far).await
    });
    leaves_nothing(dir, "files", async |n| {
        let mut halves = files(&request, &reply).await?;
        let mut text = String::new();
        halves.reader.read_to_string(&mut text).await?;
        halves.writer.write_all(text.as_bytes()).await?;
        if n % 2 == 0 {
            halves.writer.close().await?;
        }
        Ok(())
    });
    others(dir);
    children(dir);
    given_up(&there);
}

fn others(dir: &Path) {
    leaves_nothing(dir, "halves of two kinds, joined", async |n| {
        let (near, far) = UnixStream::pair()?;
        let (from, to) = io::pipe()?;
        let (reader, writer) = (FdReader::new(near)?, FdWriter::new(to)?);
        let near = Connection::new(reader, writer).erase();
        let (reader, writer) = (FdReader::new(from)?, FdWriter::new(far)?);
        pass(n, near, Connection::new(reader, writer).erase()).await
    });
    leaves_nothing(dir, "connections that were handed down", async |n| {
        let (near, far) = UnixStream::pair()?;
        let mut listeners = Listeners::try_from(OwnedFd::from(far))?;
        let far = listeners.accept().await?.expect("the connection");
        let near = Connection::new(FdReader::new(near.try_clone()?)?, FdWriter::new(near)?);
        pass(n, near, far).await
    });
    leaves_nothing(dir, "pipes in memory", async |n| {
        let (near, far) = memory::pair(16);
        pass(n, near, far.erase()).await
    });
}

fn children(dir: &Path) {
    leaves_nothing(dir, "children", async |n| {
        let mut command = Command::new("cat");
        if n % 2 == 0 {
            command = command.socketpair();
        }
        let (connection, child) = command.connect()?;
        let mut connection = connection;
        connection.writer.write_all(b"hello").await?;
        connection.reader.read_exact(&mut [0; 5]).await?;
        match n % 5 {
            0 => {
                connection.writer.close().await?;
                child.wait().await?;
            }
            1 => drop(child),
            2 => {
                let _ = future::poll_once(child.wait()).await;
                child.kill();
            }
            3 => drop(connection),
            _ => {
                let ex = smol::LocalExecutor::new();
                let handler = async |_: Connection| Ok(());
                ex.run(serve(&ex, Once::new(connection), handler)).await?;
            }
        }
        Ok(())
    });
}

/// A dropped call that waited for a reader of a FIFO leaves no thread.
fn given_up(fifo: &Path) {
    let waiting = || {
        let tasks = fs::read_dir("/proc/self/task").expect("Linux");
        let places = tasks.filter_map(|task| fs::read(task.ok()?.path().join("wchan")).ok());
        // The kernel's name of the wait, if it has one.
        places.filter(|place| place == b"wait_for_partner").count()
    };
    for _ in 0..10 {
        let mut opening = Box::pin(files("/dev/null", fifo));
        for _ in 0..10_000 {
            let opened = smol::block_on(future::poll_once(&mut opening));
            assert!(opened.is_none(), "it is not read");
            if waiting() > 0 {
                break;
            }
            std::thread::yield_now();
        }
        drop(opening);
        wait_until("the thread has given up", || waiting() == 0);
    }
}
