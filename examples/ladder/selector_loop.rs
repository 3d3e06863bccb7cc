//! The `SelectorLoop` of the article, for steps 6 and 7: a ready queue and a selector.

use std::cell::{Cell, RefCell};
use std::future;
use std::io::{self, ErrorKind::WouldBlock, Read, Write};
use std::mem;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use polling::Event;

use crate::selectors::{Interest, Selector};

pub(crate) type Coroutine<T> = Pin<Box<dyn Future<Output = io::Result<T>>>>;
type Task = Rc<RefCell<Coroutine<()>>>;

thread_local!(static LOOP: Rc<SelectorLoop> = Rc::new(SelectorLoop::new().expect("a selector")));

pub(crate) fn get_event_loop() -> Rc<SelectorLoop> {
    LOOP.with(Rc::clone)
}

/// Runs until `main` or another task returns an error.
pub(crate) fn run(main: Coroutine<()>) -> io::Result<()> {
    get_event_loop().run_forever(main)
}

pub(crate) struct SelectorLoop {
    selector: Selector<Task>,
    ready: RefCell<Vec<Task>>,
    current: RefCell<Option<Task>>,
    /// The socket calls that the current task has left in this turn.
    calls_left: Cell<u32>,
}

impl SelectorLoop {
    fn new() -> io::Result<Self> {
        let selector = Selector::new()?;
        let (ready, current, calls_left) = Default::default();
        Ok(Self {
            selector,
            ready,
            current,
            calls_left,
        })
    }

    fn run_forever(&self, main: Coroutine<()>) -> io::Result<()> {
        self.create_task(main);
        loop {
            self.run_once()?;
        }
    }

    pub(crate) fn create_task(&self, task: Coroutine<()>) {
        self.ready.borrow_mut().push(Rc::new(RefCell::new(task)));
    }

    /// Runs one turn: the tasks that are ready at its start, then those that the selector wakes.
    /// The article polls the selector only when no task is ready, which may never happen.
    fn run_once(&self) -> io::Result<()> {
        self.process_tasks(self.ready.take())?;
        let has_ready = !self.ready.borrow().is_empty();
        let timeout = has_ready.then_some(Duration::ZERO);
        self.process_tasks(self.selector.select(timeout)?)
    }

    fn process_tasks(&self, tasks: Vec<Task>) -> io::Result<()> {
        for task in tasks {
            self.calls_left.set(32);
            self.current.replace(Some(task.clone()));
            let mut cx = Context::from_waker(Waker::noop());
            if let Poll::Ready(result) = task.borrow_mut().as_mut().poll(&mut cx) {
                result?;
            }
            // Drops a task that has ended, which closes its socket.
            self.current.take();
        }
        Ok(())
    }

    pub(crate) fn sock_accept(
        self: &Rc<Self>,
        serv_sock: Rc<TcpListener>,
    ) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + use<> {
        self.sock(serv_sock, Event::readable, TcpListener::accept)
    }

    pub(crate) fn sock_recv(
        self: &Rc<Self>,
        sock: Rc<TcpStream>,
        nbytes: usize,
    ) -> impl Future<Output = io::Result<Vec<u8>>> + use<> {
        let mut data = vec![0; nbytes];
        self.sock(sock, Event::readable, move |mut sock| {
            let n = sock.read(&mut data)?;
            data.truncate(n);
            Ok(mem::take(&mut data))
        })
    }

    /// Sends all bytes. The article calls `send` once.
    pub(crate) fn sock_sendall(
        self: &Rc<Self>,
        sock: Rc<TcpStream>,
        data: Vec<u8>,
    ) -> impl Future<Output = io::Result<()>> + use<> {
        let mut sent = 0;
        self.sock(sock, Event::writable, move |mut sock| {
            while sent < data.len() {
                sent += sock.write(&data[sent..])?;
            }
            Ok(())
        })
    }

    /// Registers the current task to resume when the socket is ready. The task must return
    /// `Pending`.
    fn wait_for(&self, fileobj: Rc<dyn AsFd>, interest: Interest) -> io::Result<()> {
        let task = self.current.take().expect("a task polls");
        self.selector.register(fileobj, interest, task)
    }

    /// The common part of the three calls above, a coroutine written by hand. It tries the call,
    /// returns to the loop if that would block, and tries again. `Pending` is Python's `yield`.
    fn sock<S, T, F>(
        self: &Rc<Self>,
        sock: Rc<S>,
        interest: Interest,
        mut attempt: F,
    ) -> impl Future<Output = io::Result<T>> + use<S, T, F>
    where
        S: AsFd + 'static,
        F: FnMut(&S) -> io::Result<T>,
    {
        let lp = self.clone();
        future::poll_fn(move |_| {
            if lp.calls_left.replace(lp.calls_left.get().saturating_sub(1)) == 0 {
                lp.ready.borrow_mut().extend(lp.current.take());
                return Poll::Pending;
            }
            match attempt(&sock) {
                Err(error) if error.kind() == WouldBlock => {
                    lp.wait_for(sock.clone(), interest)?;
                    Poll::Pending
                }
                result => Poll::Ready(result),
            }
        })
    }
}
