//! Step 5, coroutines by hand: `cargo run --release --example ladder_05 -- 127.0.0.1:50007`
//!
//! Adds: the code of a connection is in one place again. It stops where it has to wait, and resumes
//! there. It can wait several times, for several sockets, and handles its errors in one place.
//! Still wrong: a coroutine must wait before each call, which is easy to forget. Its positions,
//! which `yield` stores in Python, are kept by hand.
//! In the article: `yield wait_for(sock)`, its first version. The listener there blocks, so a
//! client that disconnects before the accept stops the server; only reads wait, and `send` is
//! called once. Here no call blocks. All ready tasks run before the selector is polled, as there.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind::WouldBlock, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::rc::Rc;

use polling::Event;
use selectors::{Interest, Selector};

mod selectors;

trait Coroutine {
    /// Runs until the next `yield` or the end.
    fn next(&mut self, lp: &mut Loop) -> io::Result<Next>;
}

enum Next {
    Yield,
    StopIteration,
}

type Gen = Rc<RefCell<dyn Coroutine>>;

struct Loop {
    ready: VecDeque<Gen>,
    current_gen: Option<Gen>,
    selector: Selector<Gen>,
}

impl Loop {
    /// The article's `loop`.
    fn run_forever(&mut self, main: Main) -> io::Result<()> {
        self.create_task(main);
        loop {
            while let Some(task) = self.ready.pop_front() {
                self.run(&task)?;
            }
            for task in self.selector.select(None)? {
                self.run(&task)?;
            }
        }
    }

    fn create_task(&mut self, task: impl Coroutine + 'static) {
        self.ready.push_back(Rc::new(RefCell::new(task)));
    }

    /// Runs a coroutine. The selector keeps it if it has yielded; otherwise it is dropped.
    fn run(&mut self, task: &Gen) -> io::Result<()> {
        self.current_gen = Some(task.clone());
        let next = task.borrow_mut().next(self);
        self.current_gen = None;
        next.map(drop)
    }

    /// Registers the current coroutine to resume when the socket is ready. Returns the value to
    /// yield.
    fn wait_for(&mut self, fileobj: Rc<dyn AsFd>, interest: Interest) -> io::Result<Next> {
        let task = self.current_gen.take().expect("a coroutine runs");
        self.selector.register(fileobj, interest, task)?;
        Ok(Next::Yield)
    }
}

struct Main(Rc<TcpListener>);

impl Coroutine for Main {
    fn next(&mut self, lp: &mut Loop) -> io::Result<Next> {
        match self.0.accept() {
            Ok((sock, addr)) => {
                let _ = writeln!(io::stderr(), "Connected by {addr}");
                sock.set_nonblocking(true)?;
                lp.create_task(HandleConnection(Rc::new(sock), addr, Position::Begin));
            }
            Err(error) if error.kind() == WouldBlock => {}
            Err(error) => return Err(error),
        }
        lp.wait_for(self.0.clone(), Event::readable)
    }
}

struct HandleConnection(Rc<TcpStream>, SocketAddr, Position);

/// The position to resume at, with its variables.
enum Position {
    Begin,
    Receive,
    Send(Vec<u8>),
}

impl HandleConnection {
    fn resume(&mut self, lp: &mut Loop) -> io::Result<Next> {
        loop {
            match &mut self.2 {
                Position::Begin => {
                    self.2 = Position::Receive;
                    return lp.wait_for(self.0.clone(), Event::readable); // yield
                }
                Position::Receive => {
                    let mut data = vec![0; 1024];
                    let n = self.0.as_ref().read(&mut data)?;
                    if n == 0 {
                        return Ok(Next::StopIteration);
                    }
                    self.2 = Position::Send(data[..n].to_ascii_uppercase());
                }
                Position::Send(data) if data.is_empty() => self.2 = Position::Begin,
                Position::Send(data) => drop(data.drain(..self.0.as_ref().write(data)?)),
            }
        }
    }
}

impl Coroutine for HandleConnection {
    /// Handles all errors of the connection. They end only this connection.
    fn next(&mut self, lp: &mut Loop) -> io::Result<Next> {
        let next = self.resume(lp);
        match (next, &self.2) {
            (Ok(Next::Yield), _) => return Ok(Next::Yield),
            (Err(error), Position::Send(_)) if error.kind() == WouldBlock => {
                return lp.wait_for(self.0.clone(), Event::writable);
            }
            (Err(error), _) if error.kind() == WouldBlock => {
                return lp.wait_for(self.0.clone(), Event::readable);
            }
            _ => {}
        }
        let _ = writeln!(io::stderr(), "Disconnected by {}", self.1);
        Ok(Next::StopIteration)
    }
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:50007".into());
    let serv_sock = TcpListener::bind(address)?;
    serv_sock.set_nonblocking(true)?;
    writeln!(io::stderr(), "listening local={}", serv_sock.local_addr()?)?;
    let mut lp = Loop {
        ready: VecDeque::new(),
        current_gen: None,
        selector: Selector::new()?,
    };
    lp.run_forever(Main(Rc::new(serv_sock)))
}
