//! Step 6, an event loop: `cargo run --release --example ladder_06 -- 127.0.0.1:50007`
//!
//! Adds: `SelectorLoop`, which waits by itself: `sock_recv` tries to read, returns to the loop if
//! that would block, and tries again. The code of a connection no longer names the event to wait
//! for. From here on coroutines are the futures of std, still written by hand: a coroutine that is
//! polled polls the one that it waits for.
//! Still wrong: each place to wait is a state written by hand, with a boxed coroutine.
//! In the article: `data = yield from loop.sock_recv(sock, 1024)`. There `sock_sendall` is one
//! `send`; here it sends all. There ready tasks run before the selector is polled, and `recv` is
//! repeated while it succeeds, so a client that sends without pause starves the others. Here a turn
//! runs each task once, with at most 32 calls each. See [the loop](selector_loop.rs).

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use selector_loop::{Coroutine, get_event_loop, run};

mod selector_loop;
mod selectors;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:50007".into());
    let serv_sock = Rc::new(TcpListener::bind(address)?);
    serv_sock.set_nonblocking(true)?;
    writeln!(io::stderr(), "listening local={}", serv_sock.local_addr()?)?;
    run(Box::pin(Main::new(serv_sock)))
}

struct Main {
    serv_sock: Rc<TcpListener>,
    yield_from: Coroutine<(TcpStream, SocketAddr)>,
}

impl Main {
    fn new(serv_sock: Rc<TcpListener>) -> Self {
        let accept = get_event_loop().sock_accept(serv_sock.clone());
        let yield_from = Box::pin(accept);
        Self {
            serv_sock,
            yield_from,
        }
    }
}

impl Future for Main {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let (sock, addr) = ready!(self.yield_from.as_mut().poll(cx))?;
            sock.set_nonblocking(true)?;
            let handle_connection = HandleConnection::new(Rc::new(sock), addr);
            get_event_loop().create_task(Box::pin(handle_connection));
            *self = Self::new(self.serv_sock.clone());
        }
    }
}

struct HandleConnection {
    sock: Rc<TcpStream>,
    addr: SocketAddr,
    yield_from: YieldFrom,
}

/// The position, with the coroutine that it waits for. Python keeps this in `gi_yieldfrom`.
enum YieldFrom {
    Recv(Coroutine<Vec<u8>>),
    Sendall(Coroutine<()>),
}

impl HandleConnection {
    fn new(sock: Rc<TcpStream>, addr: SocketAddr) -> Self {
        let _ = writeln!(io::stderr(), "Connected by {addr}");
        let yield_from = recv(&sock);
        Self {
            sock,
            addr,
            yield_from,
        }
    }

    fn resume(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.yield_from = match &mut self.yield_from {
                YieldFrom::Recv(coroutine) => {
                    let mut data = ready!(coroutine.as_mut().poll(cx))?;
                    if data.is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    data.make_ascii_uppercase();
                    let send = get_event_loop().sock_sendall(self.sock.clone(), data);
                    YieldFrom::Sendall(Box::pin(send))
                }
                YieldFrom::Sendall(coroutine) => {
                    ready!(coroutine.as_mut().poll(cx))?;
                    recv(&self.sock)
                }
            };
        }
    }
}

fn recv(sock: &Rc<TcpStream>) -> YieldFrom {
    YieldFrom::Recv(Box::pin(get_event_loop().sock_recv(sock.clone(), 1024)))
}

impl Future for HandleConnection {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Err(error) = ready!(self.resume(cx)) {
            let _ = writeln!(
                io::stderr(),
                "Client {} suddenly closed: {error}",
                self.addr
            );
        }
        let _ = writeln!(io::stderr(), "Disconnected by {}", self.addr);
        Poll::Ready(Ok(()))
    }
}
