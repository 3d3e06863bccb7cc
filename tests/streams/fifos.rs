//! FIFOs as connections: programs that open and close them, and opens that wait.

use std::cell::Cell;
use std::fs::File;
use std::future::Future;
use std::io::Read;
use std::num::NonZero;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future;
use halves::listener::{fifos, files};
use halves::{Connection, Executor, Once, Reason, Server, Shutdown, service};
use smol::{LocalExecutor, Timer};

use crate::support::fifo::fifo;
use crate::support::place;

/// Far longer than any wait in a test.
const TIMEOUT: Duration = Duration::from_secs(20);

#[test]
fn users_of_two_fifos_may_come_and_go() {
    let dir = place::dir();
    let (there, back) = (fifo(dir.path(), "there"), fifo(dir.path(), "back"));
    let ex = Executor::threads(NonZero::new(2).expect("not 0"));
    let shutdown = Shutdown::default();
    let connection = ex.block_on(fifos(&there, &back)).expect("both");
    let server = Server::default().shutdown(shutdown.clone());
    let handler = async |Connection { reader, writer, .. }| service::upper(reader, writer).await;
    let serving = ex.spawn({
        let ex = ex.clone();
        async move { server.serve(&ex, Once::new(connection), handler).await }
    });
    for word in ["one", "two", "three"] {
        std::fs::write(&there, word).expect("it is read");
        let mut answer = vec![0; word.len()];
        let mut replies = File::open(&back).expect("it is written");
        replies.read_exact(&mut answer).expect("an answer");
        assert_eq!(answer, word.to_uppercase().into_bytes());
    }
    shutdown.drain();
    let report = ex.block_on(serving).expect("it serves");
    assert_eq!((report.finished, report.aborted), (1, 0));
    assert_eq!(report.stats.ended[Reason::Drained], 1);
}

/// More opens wait than the pool has threads.
#[test]
fn fifos_without_readers_take_no_thread_of_the_blocking_pool() {
    let dir = place::dir();
    let path = fifo(dir.path(), "fifo");
    let ex = LocalExecutor::new();
    let waiting = Rc::new(Cell::new(0));
    let test = async {
        let opening: Vec<_> = (0..600)
            .map(|_| ex.spawn(counted(files("/dev/null", path.clone()), waiting.clone())))
            .collect();
        while waiting.get() < opening.len() {
            future::yield_now().await;
        }
        // Opening a file takes a thread of the pool.
        files("/dev/null", "/dev/null").await.expect("both");
    };
    let late = async {
        Timer::after(TIMEOUT).await;
        panic!("no thread is free");
    };
    smol::block_on(ex.run(future::or(test, late)));
}

/// Adds one to `waiting` at the fourth poll of `opening`: by then it has opened the input, tried
/// the output, and found it to be a FIFO.
async fn counted<F: Future>(opening: F, waiting: Rc<Cell<usize>>) -> F::Output {
    let mut opening = std::pin::pin!(opening);
    let mut polls = 0;
    future::poll_fn(|cx| {
        polls += 1;
        waiting.set(waiting.get() + usize::from(polls == 4));
        opening.as_mut().poll(cx)
    })
    .await
}
