//! Descriptors are given back. One test, as it counts those of the whole process.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::{Connection, Executor, Listener, Listeners, bind};

const PATIENCE: Duration = Duration::from_secs(20);

fn open() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// What is listened on.
#[derive(Clone, Copy, Debug)]
enum Transport {
    Tcp,
    Unix,
    /// A socket of TCP that somebody else has opened.
    Inherited,
}

#[test]
fn of_3000_connections_and_their_executors_no_descriptor_is_left() {
    for transport in [Transport::Tcp, Transport::Unix, Transport::Inherited] {
        // What stays for good, such as async-io's own, is there after the first round.
        run(1, transport);
        let before = open();
        for round in 0..60 {
            run(1 + round % 3, transport);
        }
        let start = Instant::now();
        // A thread that is not joined may still be about to end.
        while open() > before && start.elapsed() < PATIENCE {
            thread::yield_now();
        }
        assert_eq!(open(), before, "{transport:?}");
    }
}

/// 50 connections, so 100 sockets, some of which are dropped in time, and some with the executor.
fn run(threads: usize, transport: Transport) {
    let ex = Executor::threads(NonZero::new(threads).expect("not 0"));
    let dir = tempfile::tempdir().expect("a directory");
    let waiting = ex.block_on(async {
        let mut listener = listen(transport, dir.path()).await.expect("bound");
        let at = listener.local()[0].to_string();
        let mut waiting = Vec::new();
        for n in 0..50 {
            let client = halves::connect(&*at).await.expect("connected");
            let server = listener.accept().await.expect("accepted").expect("one");
            let echo = ex.spawn(echo(server));
            let asked = ex.spawn(ask(client)).await;
            match n % 4 {
                0 => drop(asked),
                1 => echo.detach(),
                2 => waiting.push((asked, Some(echo))),
                _ => {
                    waiting.push((asked, None));
                    echo.await;
                }
            }
        }
        waiting
    });
    ex.block_on(async { futures_lite::future::yield_now().await });
    drop(ex);
    drop(waiting);
}

async fn listen(transport: Transport, dir: &Path) -> io::Result<Listeners> {
    match transport {
        Transport::Tcp => bind("127.0.0.1:0").await,
        Transport::Unix => bind(&*dir.join("socket")).await,
        Transport::Inherited => OwnedFd::from(TcpListener::bind("127.0.0.1:0")?).try_into(),
    }
}

async fn ask(mut client: Connection) -> Connection {
    client.writer.write_all(b"hello").await.expect("written");
    let mut buf = [0; 5];
    client.reader.read_exact(&mut buf).await.expect("read");
    client.writer.close().await.expect("closed");
    client
}

async fn echo(mut server: Connection) {
    let mut buf = [0; 64];
    while let Ok(n @ 1..) = server.reader.read(&mut buf).await {
        server.writer.write_all(&buf[..n]).await.expect("written");
    }
}
