//! Step 7, async and await: `cargo run --release --example ladder_07 -- 127.0.0.1:50007`
//!
//! Adds: the compiler generates the states. [The loop](selector_loop.rs) is that of step 6; the
//! code of a connection is that of step 1, with `.await` at each wait.
//! Still wrong: the loop. Only its own sockets wake a task. Timers, signals, threads and futures of
//! other crates use a `Waker`, and the one here does nothing. An error that a task does not handle
//! ends the server, and each wait registers and unregisters its socket.
//! In the article: `data = await loop.sock_recv(sock, 1024)`. There async and await are other words
//! for `@asyncio.coroutine` and `yield from`. Here they do more: an awaited future is stored inside
//! the future that awaits it, so a connection is one allocation, and its buffers.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;

use selector_loop::{get_event_loop, run};

mod selector_loop;
mod selectors;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:50007".into());
    let serv_sock = TcpListener::bind(address)?;
    serv_sock.set_nonblocking(true)?;
    writeln!(io::stderr(), "listening local={}", serv_sock.local_addr()?)?;
    run(Box::pin(accept(Rc::new(serv_sock))))
}

/// The article's `main`.
async fn accept(serv_sock: Rc<TcpListener>) -> io::Result<()> {
    let lp = get_event_loop();
    loop {
        let (sock, addr) = lp.sock_accept(serv_sock.clone()).await?;
        sock.set_nonblocking(true)?;
        lp.create_task(Box::pin(handle_connection(Rc::new(sock), addr)));
    }
}

/// Serves one client until it disconnects. An error ends only this connection.
async fn handle_connection(sock: Rc<TcpStream>, addr: SocketAddr) -> io::Result<()> {
    let _ = writeln!(io::stderr(), "Connected by {addr}");
    if let Err(error) = upper(sock).await {
        let _ = writeln!(io::stderr(), "Client {addr} suddenly closed: {error}");
    }
    let _ = writeln!(io::stderr(), "Disconnected by {addr}");
    Ok(())
}

async fn upper(sock: Rc<TcpStream>) -> io::Result<()> {
    let lp = get_event_loop();
    loop {
        let mut data = lp.sock_recv(sock.clone(), 1024).await?;
        if data.is_empty() {
            return Ok(());
        }
        data.make_ascii_uppercase();
        lp.sock_sendall(sock.clone(), data).await?;
    }
}
