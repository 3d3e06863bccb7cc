//! Step 4, callbacks on a selector: `cargo run --release --example ladder_04 -- 127.0.0.1:50007`
//!
//! Adds: one thread for all clients. The selector returns the ready sockets, and a callback for
//! each does what is possible without blocking.
//! Still wrong: the state of a client has to be passed from callback to callback by hand, and a
//! callback can wait for one event only, at its end. Errors surface in the engine, which cannot
//! assign them to a client: an error that its callback does not handle ends the server.
//! In the article: `callback(sel, key.fileobj, mask)`. Sockets there may block after a false report
//! of readiness. Here they are non-blocking, and unsent bytes are sent when the socket becomes
//! writable.

use std::io::{self, ErrorKind::WouldBlock, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use polling::Event;
use selectors::{Interest, Selector};

mod selectors;

/// Called once, when its socket is ready.
type Callback = Box<dyn FnOnce(&Engine) -> io::Result<()>>;

struct Engine(Selector<Callback>);

impl Engine {
    fn run_forever(&self) -> io::Result<()> {
        loop {
            for callback in self.0.select(None)? {
                callback(self)?;
            }
        }
    }

    fn register<T, F>(&self, fileobj: Rc<T>, interest: Interest, callback: F) -> io::Result<()>
    where
        T: AsFd + 'static,
        F: FnOnce(&Self, Rc<T>) -> io::Result<()> + 'static,
    {
        let socket = fileobj.clone();
        let callback = Box::new(|engine: &Self| callback(engine, fileobj));
        self.0.register(socket, interest, callback)
    }
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:50007".into());
    let serv_sock = Rc::new(TcpListener::bind(address)?);
    serv_sock.set_nonblocking(true)?;
    writeln!(io::stderr(), "listening local={}", serv_sock.local_addr()?)?;
    let engine = Engine(Selector::new()?);
    engine.register(serv_sock, Event::readable, on_accept)?;
    engine.run_forever()
}

fn on_accept(engine: &Engine, serv_sock: Rc<TcpListener>) -> io::Result<()> {
    match serv_sock.accept() {
        Ok((sock, addr)) => {
            let _ = writeln!(io::stderr(), "Connected by {addr}");
            sock.set_nonblocking(true)?;
            let client = Rc::new(Client { sock, addr });
            engine.register(client, Event::readable, on_read)?;
        }
        // The client has disconnected already.
        Err(error) if error.kind() == WouldBlock => {}
        Err(error) => return Err(error),
    }
    engine.register(serv_sock, Event::readable, on_accept)
}

fn on_read(engine: &Engine, client: Rc<Client>) -> io::Result<()> {
    let mut data = vec![0; 1024];
    match (&client.sock).read(&mut data) {
        Ok(n @ 1..) => on_write(engine, client, data[..n].to_ascii_uppercase()),
        Err(error) if error.kind() == WouldBlock => {
            engine.register(client, Event::readable, on_read)
        }
        // The end, or an error: the last reference to the client is dropped, which closes its
        // socket.
        Ok(0) | Err(_) => Ok(()),
    }
}

/// Sends as much as the socket takes. Registers for the rest, or for the next read.
fn on_write(engine: &Engine, client: Rc<Client>, mut data: Vec<u8>) -> io::Result<()> {
    match (&client.sock).write(&data) {
        Ok(n) => drop(data.drain(..n)),
        Err(error) if error.kind() == WouldBlock => {}
        Err(_) => return Ok(()),
    }
    if data.is_empty() {
        return engine.register(client, Event::readable, on_read);
    }
    engine.register(client, Event::writable, |engine, client| {
        on_write(engine, client, data)
    })
}

struct Client {
    sock: TcpStream,
    addr: SocketAddr,
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sock.as_fd()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = writeln!(io::stderr(), "Disconnected by {}", self.addr);
    }
}
