//! The example's chat: everyone hears everyone, in order, and nobody waits for one who does not read.

#[path = "../examples/broadcast.rs"]
#[allow(dead_code, reason = "its main is not run here")]
mod broadcast;
mod harness;
mod skip;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use broadcast::{FRAME, QUEUED_BYTES, QUEUED_FRAMES, Room, Slow};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory::{self, Connector, MemoryConnection};
use halves::{Connection, Executor, FrameError, Phase, Reason, Server, bind, connect};
use harness::{Served, World};
use rustix::process::{Resource, getrlimit, setrlimit};
use skip::skip;

/// What the pipe to a client holds: this many of the frames that `numbered` makes.
const IN_PIPE: usize = 8;
const NUMBERED: usize = 8;

/// A room in memory.
struct Chat {
    world: World,
    served: Served,
    connector: Connector,
}

impl Chat {
    fn new(slow: Slow, pipe: usize) -> Self {
        let (world, room) = (World::new(), Arc::new(Room::new(slow)));
        let (listener, connector) = memory::listener(pipe);
        let handler = async move |c: MemoryConnection| room.chat(c.erase()).await;
        let served = world.serve(Server::default(), listener, handler);
        Self {
            world,
            served,
            connector,
        }
    }

    fn join(&self) -> MemoryConnection {
        let client = self.world.connect(&self.connector);
        self.world.settle();
        client
    }

    /// What it comes to without time passing. Panics when nobody can go on.
    fn now<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        // A half that has done much waits once for the others.
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

    fn say(&self, client: &mut MemoryConnection, frame: &[u8]) {
        let said = client.writer.write_all(frame);
        self.now(said).expect("it is read");
    }

    /// The next frame; none at the end.
    fn hear(&self, client: &mut MemoryConnection) -> Option<Vec<u8>> {
        let heard = client.reader.until(&[b"\0"]);
        self.now(heard).expect("whole frames")
    }

    /// Says these, one after another, and hears each.
    fn talk(&self, client: &mut MemoryConnection, numbers: std::ops::Range<usize>) {
        for number in numbers {
            self.say(client, &numbered(number));
            assert_eq!(self.hear(client), Some(numbered(number)));
        }
    }

    /// Numbers of the frames that are there for a client, up to `last`.
    fn numbers(&self, client: &mut MemoryConnection, last: usize) -> Vec<usize> {
        let mut numbers = vec![];
        while numbers.last() != Some(&last) {
            let frame = self.hear(client).expect("not the end yet");
            let text = str::from_utf8(&frame[..NUMBERED - 1]).expect("digits");
            numbers.push(text.parse().expect("a number"));
        }
        numbers
    }
}

fn numbered(number: usize) -> Vec<u8> {
    format!("{number:07}\0").into_bytes()
}

#[test]
fn everyone_hears_everyone_in_the_same_order() {
    let chat = Chat::new(Slow::Disconnect, 1024);
    let mut clients = [chat.join(), chat.join(), chat.join()];
    // What is said in one breath, and in two.
    chat.say(&mut clients[0], b"one\0two\0thr");
    chat.say(&mut clients[1], b"\0");
    chat.say(&mut clients[0], b"ee\0");
    for client in &mut clients {
        let heard = [(); 4].map(|()| chat.hear(client).expect("a frame"));
        assert_eq!(heard, [&b"one\0"[..], b"two\0", b"\0", b"three\0"]);
    }
}

#[test]
fn one_who_does_not_read_is_disconnected_when_its_queue_is_full_and_not_before() {
    let chat = Chat::new(Slow::Disconnect, IN_PIPE * NUMBERED);
    let (mut talker, mut silent) = (chat.join(), chat.join());
    let most = IN_PIPE + QUEUED_FRAMES;
    chat.talk(&mut talker, 0..most);
    assert_eq!(chat.served.open(), 2);
    chat.talk(&mut talker, most..most + 1);
    assert_eq!(chat.served.open(), 1);
    // Everything that it had taken, and the end.
    for number in 0..IN_PIPE {
        assert_eq!(chat.hear(&mut silent), Some(numbered(number)));
    }
    assert_eq!(chat.hear(&mut silent), None);
    drop(silent);
    chat.talk(&mut talker, 0..10);
    let gone = "closed 2 error: it does not hear what is said";
    assert_eq!(chat.served.events(), [gone]);
}

#[test]
fn a_queue_is_full_of_bytes_as_well() {
    let chat = Chat::new(Slow::Disconnect, 64);
    let (mut talker, _silent) = (chat.join(), chat.join());
    let frame = [vec![b'x'; FRAME], vec![0]].concat();
    for _ in 0..QUEUED_BYTES / frame.len() {
        chat.say(&mut talker, &frame);
        assert_eq!(chat.hear(&mut talker).as_ref(), Some(&frame));
    }
    assert_eq!(chat.served.open(), 2);
    chat.say(&mut talker, &frame);
    assert_eq!(chat.hear(&mut talker), Some(frame));
    assert_eq!(chat.served.open(), 1);
}

#[test]
fn what_waits_is_sent_by_the_task_of_who_reads_it() {
    let chat = Chat::new(Slow::Disconnect, IN_PIPE * NUMBERED);
    let (mut talker, mut late) = (chat.join(), chat.join());
    let most = IN_PIPE + QUEUED_FRAMES;
    chat.talk(&mut talker, 0..most);
    let all: Vec<_> = (0..most).collect();
    assert_eq!(chat.numbers(&mut late, most - 1), all);
    // And again, as its queue is empty now.
    chat.talk(&mut talker, 0..most);
    assert_eq!(chat.numbers(&mut late, most - 1), all);
}

#[test]
fn nothing_is_said_past_what_waits() {
    let chat = Chat::new(Slow::Disconnect, IN_PIPE * NUMBERED);
    let (mut talker, mut late) = (chat.join(), chat.join());
    chat.talk(&mut talker, 0..100);
    // The talker's task is woken first, and finds room for its frame.
    let (said, mut read) = (numbered(100), [0; NUMBERED]);
    let write = future::poll_once(talker.writer.write_all(&said));
    let read = future::poll_once(late.reader.read_exact(&mut read));
    let both = future::block_on(future::zip(write, read));
    assert!(matches!(both, (Some(Ok(())), Some(Ok(())))));
    chat.world.settle();
    let all: Vec<_> = (1..101).collect();
    assert_eq!(chat.numbers(&mut late, 100), all);
}

#[test]
fn dropping_the_oldest_keeps_the_newest_and_frames_whole() {
    // The first that waits has left as a whole or not at all, or for a part.
    for part in [0, 4] {
        let chat = Chat::new(Slow::DropOldest, IN_PIPE * NUMBERED + part);
        let (mut talker, mut late) = (chat.join(), chat.join());
        let last = IN_PIPE + 3 * QUEUED_FRAMES;
        chat.talk(&mut talker, 0..last + 1);
        let begun = IN_PIPE + usize::from(part > 0);
        let newest = last + 1 - (QUEUED_FRAMES - usize::from(part > 0));
        let expected: Vec<_> = (0..begun).chain(newest..=last).collect();
        assert_eq!(chat.numbers(&mut late, last), expected);
        chat.talk(&mut talker, 0..1);
        assert_eq!(chat.hear(&mut late), Some(numbered(0)));
        assert_eq!(chat.served.open(), 2);
    }
}

#[test]
fn a_frame_that_is_too_long_ends_only_who_sent_it() {
    let chat = Chat::new(Slow::Disconnect, 2 * FRAME);
    let (mut talker, mut shouter) = (chat.join(), chat.join());
    let longest = [vec![b'x'; FRAME], vec![0]].concat();
    chat.say(&mut shouter, &longest);
    for client in [&mut talker, &mut shouter] {
        assert_eq!(chat.hear(client).as_ref(), Some(&longest));
    }
    let _ = chat.now(shouter.writer.write_all(&[b'x'; FRAME + 1]));
    assert_eq!(chat.hear(&mut shouter), None);
    drop(shouter);
    chat.talk(&mut talker, 0..10);
    assert_eq!(chat.served.handle.stats().ended[Reason::Error], 1);
}

#[test]
fn who_leaves_hears_what_waited_for_it_and_half_a_frame_is_none() {
    let chat = Chat::new(Slow::Disconnect, IN_PIPE * NUMBERED);
    let (mut talker, mut leaving, mut cut) = (chat.join(), chat.join(), chat.join());
    chat.say(&mut cut, b"half a fra");
    drop(cut);
    chat.talk(&mut talker, 0..100);
    chat.now(leaving.writer.close()).expect("a half-close");
    let all: Vec<_> = (0..100).collect();
    assert_eq!(chat.numbers(&mut leaving, 99), all);
    assert_eq!(chat.hear(&mut leaving), None);
    let ended = chat.served.handle.stats().ended;
    assert_eq!((ended[Reason::Eof], ended[Reason::Error]), (1, 1));
    chat.talk(&mut talker, 0..10);
}

#[test]
fn a_drain_ends_who_has_nothing_to_say_when_it_has_heard_everything() {
    let chat = Chat::new(Slow::Disconnect, IN_PIPE * NUMBERED);
    let (mut talker, mut late) = (chat.join(), chat.join());
    chat.talk(&mut talker, 0..50);
    chat.served.handle.shutdown().drain();
    chat.world.settle();
    // There is still a second to say something.
    chat.talk(&mut talker, 50..100);
    chat.world.pass(std::time::Duration::from_secs(1));
    assert_eq!(chat.hear(&mut talker), None);
    let all: Vec<_> = (0..100).collect();
    assert_eq!(chat.numbers(&mut late, 99), all);
    assert_eq!(chat.hear(&mut late), None);
    drop((talker, late));
    let report = chat.world.report(chat.served);
    assert_eq!((report.finished, report.aborted), (2, 0));
}

#[test]
fn one_who_never_reads_a_socket_stalls_nobody_and_is_disconnected() {
    let frame = [vec![b'x'; FRAME], vec![0]].concat();
    // More than the kernel and we hold for one connection.
    let enough = 64 * 1024 * 1024 / frame.len();
    on_tcp(async |address, server| {
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

#[test]
fn a_thousand_clients_hear_everything_in_the_order_in_which_each_says_it() {
    const CLIENTS: usize = 1000;
    const TALKERS: usize = 20;
    const FRAMES: usize = 10;
    let this = "a_thousand_clients_hear_everything_in_the_order_in_which_each_says_it";
    let ours = getrlimit(Resource::Nofile);
    let mut raised = ours;
    // Both ends are in this process.
    raised.current = raised.current.map(|_| 4096);
    if ours.maximum.is_some_and(|maximum| maximum < 4096) {
        skip(this, "so many descriptors are not allowed");
        return;
    }
    if ours.current.is_some_and(|current| current < 4096) {
        setrlimit(Resource::Nofile, raised).expect("so many descriptors");
    }
    on_tcp(async |address, server| {
        let mut clients = vec![];
        for _ in 0..CLIENTS {
            clients.push(connect(&*address).await?);
        }
        // Who hears something is in the room.
        for client in &mut clients {
            client.writer.write_all(b"\0").await?;
        }
        for client in &mut clients {
            assert_eq!(
                client.reader.until(&[b"\0"]).await?.as_deref(),
                Some(&b"\0"[..])
            );
        }
        for (talker, client) in clients[..TALKERS].iter_mut().enumerate() {
            for frame in 0..FRAMES {
                let said = format!("{talker} {frame}\0");
                client.writer.write_all(said.as_bytes()).await?;
            }
        }
        for client in &mut clients {
            let mut heard = BTreeMap::new();
            while heard.values().sum::<usize>() < TALKERS * FRAMES {
                hear_in_order(client, &mut heard).await?;
            }
            assert!(heard.values().all(|&count| count == FRAMES));
        }
        assert_eq!(server.stats().open, CLIENTS as u64);
        Ok(())
    });
}

/// Counts what each talker has said, and sees that it was the next.
async fn hear_in_order(
    client: &mut Connection,
    heard: &mut BTreeMap<usize, usize>,
) -> Result<(), FrameError> {
    let frame = client.reader.until(&[b"\0"]).await?.expect("not the end");
    let text = str::from_utf8(&frame).expect("text");
    let Some((talker, number)) = text.trim_end_matches('\0').split_once(' ') else {
        return Ok(());
    };
    let count = heard.entry(talker.parse().expect("a number")).or_default();
    assert_eq!(number.parse(), Ok(*count), "of {talker}");
    *count += 1;
    Ok(())
}

/// Runs `clients` beside a server on a port of its own, which is then ended.
fn on_tcp(clients: impl AsyncFnOnce(String, &halves::Handle) -> io::Result<()>) {
    let ex = Executor::new();
    let room = Arc::new(Room::new(Slow::Disconnect));
    let server = Server::default();
    let handle = server.handle();
    let handler = async move |connection: Connection| room.chat(connection).await;
    let tasks = ex.clone();
    let served = ex.block_on(async {
        let listener = bind("127.0.0.1:0").await?;
        let address = listener.local()[0].to_string();
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
