//! A listener that yields the results that a test gives it, and a client of a service.

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

/// A listener that yields the results that a test gives it, and counts its polls.
#[derive(Clone, Default)]
pub(crate) struct Script(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    steps: VecDeque<io::Result<Option<MemoryConnection>>>,
    waker: Option<Waker>,
    polls: usize,
}

impl Script {
    pub(crate) fn push(&self, step: io::Result<Option<MemoryConnection>>) {
        let mut state = self.0.borrow_mut();
        state.steps.push_back(step);
        state.waker.take().into_iter().for_each(Waker::wake);
    }

    pub(crate) fn connect(&self) -> MemoryConnection {
        let (near, far) = memory::pair(1024);
        self.push(Ok(Some(far)));
        near
    }

    pub(crate) fn fail(&self, errno: Errno) {
        self.push(Err(errno.into()));
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
            let mut state = self.0.borrow_mut();
            state.polls += 1;
            if let Some(step) = state.steps.pop_front() {
                return Poll::Ready(step);
            }
            state.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

pub(crate) async fn uppercase(connection: MemoryConnection) -> io::Result<()> {
    upper(connection.reader, connection.writer).await
}

/// Sends one request on a connection of its own. Returns all of the answer.
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

/// Reads to the end, and closes.
pub(crate) async fn read_to_end(mut client: MemoryConnection) -> io::Result<Vec<u8>> {
    let mut received = Vec::new();
    client.reader.read_to_end(&mut received).await?;
    Ok(received)
}
