//! Step 8, a library's loop: `cargo run --release --example ladder_08 -- 127.0.0.1:50007`
//!
//! Adds: the loop of a library. async-io watches the sockets, async-executor runs the tasks. Wakers
//! are real: timers, signals and threads can wake a task, on as many threads as call `run`. An
//! error or a panic of a task stays in the task.
//! Still wrong: all that surrounds a connection. Connections are not counted or limited, an error
//! of `accept` ends the server, and Ctrl-C cuts answers short. A client that sends without pause
//! can starve the others: the limit of 32 calls a turn is gone. The code names TCP, so it cannot
//! serve another stream.
//! In the article: `asyncio.run(main(HOST, PORT))`, where its loop is replaced by the one it was
//! modelled on.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use async_executor::Executor;
use async_io::Async;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

static LOOP: Executor<'static> = Executor::new();

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:50007".into());
    let serv_sock = Async::new(TcpListener::bind(address)?)?;
    let local = serv_sock.get_ref().local_addr()?;
    writeln!(io::stderr(), "listening local={local}")?;
    async_io::block_on(LOOP.run(accept(serv_sock)))
}

/// The article's `main`.
async fn accept(serv_sock: Async<TcpListener>) -> io::Result<()> {
    loop {
        let (sock, addr) = serv_sock.accept().await?;
        LOOP.spawn(handle_connection(sock, addr)).detach();
    }
}

/// Serves one client until it disconnects. An error ends only this connection.
async fn handle_connection(sock: Async<TcpStream>, addr: SocketAddr) {
    let _ = writeln!(io::stderr(), "Connected by {addr}");
    if let Err(error) = upper(sock).await {
        let _ = writeln!(io::stderr(), "Client {addr} suddenly closed: {error}");
    }
    let _ = writeln!(io::stderr(), "Disconnected by {addr}");
}

async fn upper(mut sock: Async<TcpStream>) -> io::Result<()> {
    let mut data = [0; 1024];
    loop {
        let n = sock.read(&mut data).await?;
        if n == 0 {
            return Ok(());
        }
        data[..n].make_ascii_uppercase();
        sock.write_all(&data[..n]).await?;
    }
}
