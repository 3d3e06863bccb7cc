//! Nothing is left of 3,000 connections over sockets, and of their executors. The test counts the
//! descriptors, processes and threads of the whole process.

use std::io;
use std::net::TcpListener;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::{Connection, Executor, Listener, Listeners, bind};

use crate::support::leftovers::{CONNECTIONS, is_as_before, present};
use crate::support::place;

/// Connections in a round.
const ROUND: usize = 50;

/// The kind of the listener.
#[derive(Clone, Copy, Debug)]
enum Transport {
    Tcp,
    Unix,
    Abstract,
    /// A TCP socket that was opened elsewhere.
    Inherited,
}

pub(crate) fn nothing_is_left_of_3000_connections_and_their_executors() {
    let dir = place::dir();
    for transport in [
        Transport::Tcp,
        Transport::Unix,
        Transport::Abstract,
        Transport::Inherited,
    ] {
        // The first round leaves what stays for good, such as the thread of async-io.
        run(1, transport, dir.path());
        let before = present(dir.path());
        for round in 0..CONNECTIONS / ROUND {
            run(1 + round % 3, transport, dir.path());
        }
        is_as_before(&format!("{transport:?}"), dir.path(), before);
    }
}

/// Connects that are dropped at each of their steps leave no descriptor, and any number of lookups of
/// one name at most a thread of the pool.
pub(crate) fn nothing_is_left_of_cancelled_connects() {
    let dir = place::dir();
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("bound").port();
    let path = dir.path().join("socket");
    let _unix = std::os::unix::net::UnixListener::bind(&path).expect("bound");
    let cancel = |polls: usize| {
        let addresses = [
            format!("127.0.0.1:{port}"),
            format!("localhost:{port}"),
            format!("unix:{}", path.display()),
        ];
        for address in addresses {
            smol::block_on(async {
                let mut connect = Box::pin(halves::connect(address));
                for _ in 0..polls {
                    if future::poll_once(&mut connect).await.is_some() {
                        let _ = listener.accept();
                        break;
                    }
                    future::yield_now().await;
                }
            });
        }
    };
    listener.set_nonblocking(true).expect("a socket");
    // Connects to the end, and starts the threads that stay: those of the lookups and of async-io.
    cancel(usize::MAX);
    smol::block_on(smol::Timer::after(Duration::from_millis(1)));
    let before = present(dir.path());
    for n in 0..300 {
        cancel(n % 3 + 1);
        while listener.accept().is_ok() {}
    }
    is_as_before("cancelled connects", dir.path(), before);
}

/// Runs 50 connections, with 100 sockets. Some are dropped in time, some with the executor.
fn run(threads: usize, transport: Transport, dir: &Path) {
    let ex = Executor::threads(NonZero::new(threads).expect("not 0"));
    let waiting = ex.block_on(async {
        let mut listener = listen(transport, dir).await.expect("bound");
        let at = listener.local_addrs()[0].to_string();
        let mut waiting = Vec::new();
        for n in 0..ROUND {
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
        Transport::Abstract => bind(format!("@halves-leaks-{}", std::process::id())).await,
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
