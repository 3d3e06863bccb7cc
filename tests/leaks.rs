//! Descriptors are given back. One test, as it counts those of the whole process.

use std::fs;
use std::num::NonZero;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::{Connection, Executor, Listener};

const PATIENCE: Duration = Duration::from_secs(20);

fn open() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

#[test]
fn of_3000_sockets_and_their_executors_no_descriptor_is_left() {
    // What stays for good, such as async-io's own, is there after the first round.
    run(1);
    let before = open();
    for round in 0..30 {
        run(1 + round % 3);
    }
    let start = Instant::now();
    // A thread that is not joined may still be about to end.
    while open() > before && start.elapsed() < PATIENCE {
        thread::yield_now();
    }
    assert_eq!(open(), before);
}

/// 50 connections, so 100 sockets, some of which are dropped in time, and some with the executor.
fn run(threads: usize) {
    let ex = Executor::threads(NonZero::new(threads).expect("not 0"));
    let waiting = ex.block_on(async {
        let mut listener = halves::bind("127.0.0.1:0").await.expect("bound");
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
