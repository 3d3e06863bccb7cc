//! Checks of a chat, with clients in memory and on sockets.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::connection::Phase;
use halves::framing::FrameError;
use halves::listener::memory::{self, Connector, MemoryConnection};
use halves::{Connection, Executor, Handle, Reason, Server, bind, connect};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::support::harness::{Served, World};
use crate::support::skip::skip;

/// The capacity of the pipe to a client, in frames of `numbered`.
pub(crate) const FRAMES_IN_PIPE: usize = 8;
pub(crate) const NUMBERED_BYTES: usize = 8;
/// Bytes of a long frame, without its end.
const LONG_FRAME_BYTES: usize = 4 * 1024;

/// A room in memory.
pub(crate) struct Chat {
    pub(crate) world: World,
    pub(crate) served: Served,
    connector: Connector,
}

impl Chat {
    pub(crate) fn new<H, F>(pipe: usize, handler: H) -> Self
    where
        H: FnOnce(Connection) -> F + Clone + 'static,
        F: Future<Output = io::Result<()>> + 'static,
    {
        let world = World::new();
        let (listener, connector) = memory::listener(pipe);
        let handler = |c: MemoryConnection| handler(c.erase());
        let served = world.serve(Server::default(), listener, handler);
        Self {
            world,
            served,
            connector,
        }
    }

    pub(crate) fn join(&self) -> MemoryConnection {
        let client = self.world.connect(&self.connector);
        self.world.settle();
        client
    }

    /// The output of a future, without time passing. Panics if no task can go on.
    pub(crate) fn now<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        // A half that has used its budget yields once.
        let mut stuck = false;
        loop {
            if let Some(value) = future::block_on(future::poll_once(future.as_mut())) {
                self.world.settle();
                return value;
            }
            let goes_on = self.world.ex.try_tick();
            assert!(goes_on || !stuck, "it waits for ever");
            stuck = !goes_on;
        }
    }

    pub(crate) fn say(&self, client: &mut MemoryConnection, frame: &[u8]) {
        let write = client.writer.write_all(frame);
        self.now(write).expect("it is read");
    }

    /// The next frame. None at the end.
    pub(crate) fn receive(&self, client: &mut MemoryConnection) -> Option<Vec<u8>> {
        let received = client.reader.until(&[b"\0"]);
        self.now(received).expect("whole frames")
    }

    /// Sends these frames, one after another, and receives each.
    pub(crate) fn talk(&self, client: &mut MemoryConnection, numbers: std::ops::Range<usize>) {
        for number in numbers {
            self.say(client, &numbered(number));
            assert_eq!(self.receive(client), Some(numbered(number)));
        }
    }

    /// The numbers of the frames that are there for a client, up to `last`.
    pub(crate) fn numbers(&self, client: &mut MemoryConnection, last: usize) -> Vec<usize> {
        let mut numbers = vec![];
        while numbers.last() != Some(&last) {
            let frame = self.receive(client).expect("not the end yet");
            let text = str::from_utf8(&frame[..NUMBERED_BYTES - 1]).expect("digits");
            numbers.push(text.parse().expect("a number"));
        }
        numbers
    }
}

pub(crate) fn numbered(number: usize) -> Vec<u8> {
    format!("{number:07}\0").into_bytes()
}

/// `most` frames fit into the pipe of a client and its queue.
pub(crate) fn check_the_queue(chat: &Chat, most: usize) {
    let (mut talker, mut late) = (chat.join(), chat.join());
    let all: Vec<_> = (0..most).collect();
    // The queue is empty at the second time, so this works again.
    for _ in 0..2 {
        chat.talk(&mut talker, 0..most);
        assert_eq!(chat.numbers(&mut late, most - 1), all);
    }
}

/// A client reads late: it receives the first `begun` frames, and then the `newest` ones.
pub(crate) fn check_dropping_the_oldest(chat: &Chat, begun: usize, newest: usize) {
    let (mut talker, mut late) = (chat.join(), chat.join());
    let sent = begun + 3 * newest;
    chat.talk(&mut talker, 0..sent);
    let expected: Vec<_> = (0..begun).chain(sent - newest..sent).collect();
    assert_eq!(chat.numbers(&mut late, sent - 1), expected);
    chat.talk(&mut talker, 0..1);
    assert_eq!(chat.receive(&mut late), Some(numbered(0)));
    assert_eq!(chat.served.open(), 2);
}

pub(crate) fn check_order(chat: &Chat) {
    let mut clients = [chat.join(), chat.join(), chat.join()];
    // Several frames in one write, and one frame in two.
    chat.say(&mut clients[0], b"one\0two\0thr");
    chat.say(&mut clients[1], b"\0");
    chat.say(&mut clients[0], b"ee\0");
    for client in &mut clients {
        let received = [(); 4].map(|()| chat.receive(client).expect("a frame"));
        assert_eq!(received, [&b"one\0"[..], b"two\0", b"\0", b"three\0"]);
    }
}

/// The pipe holds [`FRAMES_IN_PIPE`] frames.
pub(crate) fn check_that_nothing_overtakes(chat: &Chat) {
    let (mut talker, mut late) = (chat.join(), chat.join());
    chat.talk(&mut talker, 0..100);
    // The task of the talker is woken first, and finds room for its frame.
    let (frame, mut read) = (numbered(100), [0; NUMBERED_BYTES]);
    let write = future::poll_once(talker.writer.write_all(&frame));
    let read = future::poll_once(late.reader.read_exact(&mut read));
    let both = future::block_on(future::zip(write, read));
    assert!(matches!(both, (Some(Ok(())), Some(Ok(())))));
    chat.world.settle();
    let all: Vec<_> = (1..101).collect();
    assert_eq!(chat.numbers(&mut late, 100), all);
}

/// The pipe holds two frames of `limit` bytes.
pub(crate) fn check_the_limit(chat: &Chat, limit: usize) {
    let (mut talker, mut shouter) = (chat.join(), chat.join());
    let longest = [vec![b'x'; limit], vec![0]].concat();
    chat.say(&mut shouter, &longest);
    for client in [&mut talker, &mut shouter] {
        assert_eq!(chat.receive(client).as_ref(), Some(&longest));
    }
    let _ = chat.now(shouter.writer.write_all(&vec![b'x'; limit + 1]));
    assert_eq!(chat.receive(&mut shouter), None);
    drop(shouter);
    chat.talk(&mut talker, 0..10);
    assert_eq!(chat.served.handle.stats().ended[Reason::Error], 1);
}

/// The pipe holds [`FRAMES_IN_PIPE`] frames.
pub(crate) fn check_leaving(chat: &Chat) {
    let (mut talker, mut leaving, mut cut) = (chat.join(), chat.join(), chat.join());
    chat.say(&mut cut, b"half a fra");
    drop(cut);
    chat.talk(&mut talker, 0..100);
    chat.now(leaving.writer.close()).expect("a half-close");
    let all: Vec<_> = (0..100).collect();
    assert_eq!(chat.numbers(&mut leaving, 99), all);
    assert_eq!(chat.receive(&mut leaving), None);
    let ended = chat.served.handle.stats().ended;
    assert_eq!((ended[Reason::Eof], ended[Reason::Error]), (1, 1));
    chat.talk(&mut talker, 0..10);
}

/// The pipe holds [`FRAMES_IN_PIPE`] frames. A client that has caught up ends after `quiet`.
pub(crate) fn check_the_drain(chat: Chat, quiet: Duration) {
    let (mut talker, mut late) = (chat.join(), chat.join());
    chat.talk(&mut talker, 0..50);
    chat.served.handle.shutdown().drain();
    chat.world.settle();
    // There is still a second to send something.
    chat.talk(&mut talker, 50..100);
    chat.world.pass(Duration::from_secs(1));
    assert_eq!(chat.receive(&mut talker), None);
    let all: Vec<_> = (0..100).collect();
    assert_eq!(chat.numbers(&mut late, 99), all);
    chat.world.pass(quiet);
    assert_eq!(chat.receive(&mut late), None);
    drop((talker, late));
    let report = chat.world.report(chat.served);
    assert_eq!((report.finished, report.aborted), (2, 0));
}

pub(crate) fn check_a_silent_socket<H, F>(handler: H)
where
    H: FnOnce(Connection) -> F + Clone + Send + 'static,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let frame = [vec![b'x'; LONG_FRAME_BYTES], vec![0]].concat();
    // More than the kernel and the server hold for one connection.
    let enough = 64 * 1024 * 1024 / frame.len();
    on_tcp(handler, async |address, server| {
        let _silent = connect(&*address).await?;
        let mut talker = connect(&*address).await?;
        for _ in 0..enough {
            talker.writer.write_all(&frame).await?;
            assert_eq!(talker.reader.until(&[b"\0"]).await?.as_ref(), Some(&frame));
            let clients = server.connections();
            if clients.iter().filter(|c| c.phase == Phase::Open).count() == 1 {
                return Ok(());
            }
        }
        panic!("it is still there after {enough} frames");
    });
}

/// Named `test` if it is skipped, where so many descriptors are not allowed.
pub(crate) fn check_a_thousand_clients<H, F>(test: &str, handler: H)
where
    H: FnOnce(Connection) -> F + Clone + Send + 'static,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    const CLIENTS: usize = 1000;
    const TALKERS: usize = 20;
    const FRAMES: usize = 5;
    let ours = getrlimit(Resource::Nofile);
    let mut raised = ours;
    // Both ends are in this process.
    raised.current = raised.current.map(|_| 4096);
    if ours.maximum.is_some_and(|maximum| maximum < 4096) {
        skip(test, "so many descriptors are not allowed");
        return;
    }
    if ours.current.is_some_and(|current| current < 4096) {
        setrlimit(Resource::Nofile, raised).expect("so many descriptors");
    }
    let joined = Arc::new(AtomicUsize::new(0));
    let count = joined.clone();
    let handler = async move |client: Connection| {
        let mut chat = pin!(handler(client));
        if let Some(ended) = future::poll_once(chat.as_mut()).await {
            return ended;
        }
        count.fetch_add(1, Ordering::Relaxed);
        chat.await
    };
    on_tcp(handler, async |address, server| {
        let mut clients = vec![];
        for _ in 0..CLIENTS {
            clients.push(connect(&*address).await?);
        }
        while joined.load(Ordering::Relaxed) < CLIENTS {
            future::yield_now().await;
        }
        for (talker, client) in clients[..TALKERS].iter_mut().enumerate() {
            for frame in 0..FRAMES {
                let text = format!("{talker} {frame}\0");
                client.writer.write_all(text.as_bytes()).await?;
            }
        }
        for client in &mut clients {
            let mut received = BTreeMap::new();
            for _ in 0..TALKERS * FRAMES {
                receive_in_order(client, &mut received).await?;
            }
            assert!(received.values().all(|&count| count == FRAMES));
        }
        assert_eq!(server.stats().open, CLIENTS as u64);
        Ok(())
    });
}

/// Counts the frames of each talker, and checks that this one is the next.
async fn receive_in_order(
    client: &mut Connection,
    received: &mut BTreeMap<usize, usize>,
) -> Result<(), FrameError> {
    let frame = client.reader.until(&[b"\0"]).await?.expect("not the end");
    let text = str::from_utf8(&frame).expect("text");
    let parts = text.trim_end_matches('\0').split_once(' ');
    let (talker, number) = parts.expect("a talker and a number");
    let count = received
        .entry(talker.parse().expect("a number"))
        .or_default();
    assert_eq!(number.parse(), Ok(*count), "of {talker}");
    *count += 1;
    Ok(())
}

/// Runs `clients` beside a server on a port of its own, and then ends the server.
fn on_tcp<H, F>(handler: H, clients: impl AsyncFnOnce(String, &Handle) -> io::Result<()>)
where
    H: FnOnce(Connection) -> F + Clone + Send + 'static,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let ex = Executor::new();
    let server = Server::default();
    let handle = server.handle();
    let tasks = ex.clone();
    let served = ex.block_on(async {
        let listener = bind("127.0.0.1:0").await?;
        let address = listener.local_addrs()[0].to_string();
        let serving = server.serve(&tasks, listener, handler);
        let clients = async {
            let done = clients(address, &handle).await;
            handle.shutdown().abort();
            done
        };
        future::try_zip(serving, clients).await
    });
    served.expect("no error");
}
