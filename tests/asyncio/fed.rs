//! A stream that a test feeds by hand, and calls that are checked while they wait.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, ErrorKind, Read};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_lite::future::{block_on, poll_once};
use futures_lite::io::sink;
use futures_lite::{AsyncRead, AsyncReadExt};
use halves::framing::FrameError;
use halves::{Connection, Reader};

/// The end that feeds, and the stream itself.
#[derive(Clone, Default)]
pub(crate) struct Feed(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    end: Option<Result<(), ErrorKind>>,
    waker: Option<Waker>,
}

/// A reader, and the feed of it.
pub(crate) fn fed() -> (Reader<Feed>, Feed) {
    let feed = Feed::default();
    (Connection::new(feed.clone(), sink()).reader, feed)
}

/// The same, with a limit of a frame in bytes.
pub(crate) fn limited(bytes: usize) -> (Reader<Feed>, Feed) {
    let (mut reader, feed) = fed();
    reader.set_frame_limit(bytes);
    (reader, feed)
}

impl Feed {
    pub(crate) fn push(&self, bytes: &[u8]) {
        self.change(|state| state.bytes.extend(bytes));
    }

    pub(crate) fn eof(&self) {
        self.change(|state| state.end = Some(Ok(())));
    }

    /// The stream fails from now on, after its bytes.
    pub(crate) fn fail(&self, kind: ErrorKind) {
        self.change(|state| state.end = Some(Err(kind)));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.borrow_mut();
        change(&mut state);
        state.waker.take().into_iter().for_each(Waker::wake);
    }
}

impl AsyncRead for Feed {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.borrow_mut();
        match (state.bytes.is_empty(), state.end) {
            (false, _) => Poll::Ready(state.bytes.read(buf)),
            (true, Some(end)) => Poll::Ready(end.map(|()| 0).map_err(io::Error::from)),
            (true, None) => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// The output of a call that need not wait.
#[track_caller]
pub(crate) fn now<T>(call: impl Future<Output = T>) -> T {
    block_on(poll_once(call)).expect("there is nothing to wait for")
}

/// Begins a call, which has to wait, and drops it.
#[track_caller]
pub(crate) fn cancel<T>(call: impl Future<Output = T>) {
    assert!(block_on(poll_once(call)).is_none(), "it need not wait");
}

/// The output of a call that has to wait and is woken by `does`.
#[track_caller]
pub(crate) fn while_it_waits<T>(call: impl Future<Output = T>, act: impl FnOnce()) -> T {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut call = pin!(call);
    let early = call.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(early.is_pending(), "it need not wait");
    act();
    // It may wake itself, to look again.
    while woken.0.swap(false, Ordering::Relaxed) {
        if let Poll::Ready(value) = call.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
    }
    panic!("no wake-up comes");
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// As asyncio's `read(n)`: the bytes that are there, up to a number.
pub(crate) async fn read(reader: &mut Reader<Feed>, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; most];
    let n = reader.read(&mut bytes).await?;
    bytes.truncate(n);
    Ok(bytes)
}

/// Bytes that were fed and not read.
#[track_caller]
pub(crate) fn left(reader: &mut Reader<Feed>) -> Vec<u8> {
    let (mut all, mut some) = (Vec::new(), [0; 64]);
    while let Some(read) = block_on(poll_once(reader.read(&mut some))) {
        match read.expect("it does not fail") {
            0 => break,
            n => all.extend(&some[..n]),
        }
    }
    all
}

/// The bytes of an incomplete frame, and the number of missing ones, if known.
#[track_caller]
pub(crate) fn incomplete<T>(got: Result<T, FrameError>) -> (Vec<u8>, Option<usize>) {
    match got.err().expect("it is incomplete") {
        FrameError::Incomplete { partial, expected } => (partial, expected),
        error => panic!("{error:?}"),
    }
}

/// The number of bytes that can be passed over.
#[track_caller]
pub(crate) fn too_long<T>(got: Result<T, FrameError>) -> usize {
    match got.err().expect("it is too long") {
        FrameError::TooLong { consumed, .. } => consumed,
        error => panic!("{error:?}"),
    }
}

/// The kind of an error of the stream.
#[track_caller]
pub(crate) fn failed<T>(got: Result<T, FrameError>) -> ErrorKind {
    match got.err().expect("it has failed") {
        FrameError::Io(error) => error.kind(),
        error => panic!("{error:?}"),
    }
}
