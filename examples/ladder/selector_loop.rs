//! The article's `SelectorLoop`, for steps 6 and 7: a ready queue, a selector, and sockets that are tried first.

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

/// Until `main`, or another task, lets go of an error.
pub(crate) fn run(main: Coroutine<()>) -> io::Result<()> {
    get_event_loop().run_forever(main)
}

pub(crate) struct SelectorLoop {
    selector: Selector<Task>,
    ready: RefCell<Vec<Task>>,
    current: RefCell<Option<Task>>,
    /// How often the current task may still try before it is the others' turn.
    tries: Cell<u32>,
}

impl SelectorLoop {
    fn new() -> io::Result<Self> {
        let selector = Selector::new()?;
        let (ready, current, tries) = Default::default();
        Ok(Self {
            selector,
            ready,
            current,
            tries,
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

    /// One turn: who was ready when it began, then whom the selector wakes. The article asks the selector
    /// when nobody is ready any more, which may be never.
    fn run_once(&self) -> io::Result<()> {
        self.process_tasks(self.ready.take())?;
        let others_are_ready = !self.ready.borrow().is_empty();
        let timeout = others_are_ready.then_some(Duration::ZERO);
        self.process_tasks(self.selector.select(timeout)?)
    }

    fn process_tasks(&self, tasks: Vec<Task>) -> io::Result<()> {
        for task in tasks {
            self.tries.set(32);
            self.current.replace(Some(task.clone()));
            let mut cx = Context::from_waker(Waker::noop());
            if let Poll::Ready(result) = task.borrow_mut().as_mut().poll(&mut cx) {
                result?;
            }
            // Who has ended is held by nobody, so that its socket closes.
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

    /// Sends all of it. The article's sends once, and hopes.
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

    /// Has the current task go on when the socket is ready; it is to say `Pending` now.
    fn wait_for(&self, fileobj: Rc<dyn AsFd>, interest: Interest) -> io::Result<()> {
        let task = self.current.take().expect("a task polls");
        self.selector.register(fileobj, interest, task)
    }

    /// What the three above have in common, a coroutine written by hand. It tries, goes back to the loop
    /// when that would block, and tries again. `Pending` is Python's `yield`.
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
            if lp.tries.replace(lp.tries.get().saturating_sub(1)) == 0 {
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
