//! A listener that does what the test tells it to, and a client of a service that ends.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::Listener;
use halves::listener::memory::{self, MemoryConnection};
use halves::service::upper;
use rustix::io::Errno;

/// A listener that yields what the test tells it to, and counts how often it is asked.
#[derive(Clone, Default)]
pub(crate) struct Script(Rc<RefCell<Told>>);

#[derive(Default)]
struct Told {
    steps: VecDeque<io::Result<Option<MemoryConnection>>>,
    waker: Option<Waker>,
    polls: usize,
}

impl Script {
    pub(crate) fn tell(&self, step: io::Result<Option<MemoryConnection>>) {
        let mut told = self.0.borrow_mut();
        told.steps.push_back(step);
        told.waker.take().into_iter().for_each(Waker::wake);
    }

    pub(crate) fn connect(&self) -> MemoryConnection {
        let (near, far) = memory::pair(1024);
        self.tell(Ok(Some(far)));
        near
    }

    pub(crate) fn fail(&self, errno: Errno) {
        self.tell(Err(errno.into()));
    }

    pub(crate) fn polls(&self) -> usize {
        self.0.borrow().polls
    }
}

impl Listener for Script {
    type Reader = memory::PipeReader;
    type Writer = memory::PipeWriter;

    async fn accept(&mut self) -> io::Result<Option<MemoryConnection>> {
        poll_fn(|cx| {
            let mut told = self.0.borrow_mut();
            told.polls += 1;
            if let Some(step) = told.steps.pop_front() {
                return Poll::Ready(step);
            }
            told.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

pub(crate) async fn uppercase(connection: MemoryConnection) -> io::Result<()> {
    upper(connection.reader, connection.writer).await
}

/// Asks one question on a connection of its own.
pub(crate) async fn ask(mut client: MemoryConnection, question: &'static str) -> String {
    let mut answer = String::new();
    client
        .writer
        .write_all(question.as_bytes())
        .await
        .expect("it is read");
    client.writer.close().await.expect("a close is not refused");
    client
        .reader
        .read_to_string(&mut answer)
        .await
        .expect("an answer");
    answer
}
