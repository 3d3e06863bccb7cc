//! Step 7, async and await: `cargo run --release --example ladder_07 -- 127.0.0.1:50007`
//!
//! Adds: the compiler keeps the states. [The loop](selector_loop.rs) is step 6's to the letter; a connection
//! reads as it did in step 1, with `.await` where it may have to wait.
//! Still wrong: the loop. Its sockets alone wake a task, by what was registered; timers, signals, threads and
//! other people's futures wake by a `Waker`, and ours does nothing. An error that a task lets go of ends the
//! server, and each wait registers and unregisters its socket.
//! In the article: `data = await loop.sock_recv(sock, 1024)`. There async and await are other words for
//! `@asyncio.coroutine` and `yield from`. Here they do more: what is awaited lives within who awaits it, so that
//! a whole connection is one allocation, and its buffers.

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

/// Talks to one client until it is gone. An error is that client's own affair.
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
