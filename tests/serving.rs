//! The accept loop neither dies nor hangs, and keeps to its limit.

mod harness;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::listener::memory::{self, MemoryConnection};
use halves::service::upper;
use halves::{Connection, Listener, Reason, Server};
use harness::World;
use rustix::io::Errno;

/// A listener that yields what the test tells it to, and counts how often it is asked.
#[derive(Clone, Default)]
struct Script(Rc<RefCell<Told>>);

#[derive(Default)]
struct Told {
    steps: VecDeque<io::Result<Option<MemoryConnection>>>,
    waker: Option<Waker>,
    polls: usize,
}

impl Script {
    fn tell(&self, step: io::Result<Option<MemoryConnection>>) {
        let mut told = self.0.borrow_mut();
        told.steps.push_back(step);
        told.waker.take().into_iter().for_each(Waker::wake);
    }

    fn connect(&self) -> MemoryConnection {
        let (near, far) = memory::pair(1024);
        self.tell(Ok(Some(far)));
        near
    }

    fn fail(&self, errno: Errno) {
        self.tell(Err(errno.into()));
    }

    fn polls(&self) -> usize {
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

async fn uppercase(connection: MemoryConnection) -> io::Result<()> {
    upper(connection.reader, connection.writer).await
}

/// Asks one question on a connection of its own.
async fn ask(mut client: MemoryConnection, question: &'static str) -> String {
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

#[test]
fn errors_of_one_connection_are_passed_over_at_once() {
    let world = World::new();
    let script = Script::default();
    let served = world.serve(Server::default(), script.clone(), uppercase);
    for errno in [Errno::CONNABORTED, Errno::PROTO, Errno::PERM, Errno::INTR] {
        script.fail(errno);
    }
    let client = script.connect();
    assert_eq!(world.now(ask(client, "still here")), "STILL HERE");
    assert_eq!(served.handle.stats().accept_errors, 4);
    let events = served.events();
    assert_eq!(events.len(), 5, "{events:?}");
    assert_eq!(events[4], "closed 1 eof");
}

#[test]
fn used_up_descriptors_are_waited_for_and_said_once() {
    let world = World::new();
    let script = Script::default();
    let served = world.serve(Server::default(), script.clone(), uppercase);
    for _ in 0..12 {
        script.fail(Errno::MFILE);
    }
    let mut pauses = Vec::new();
    for _ in 0..12 {
        world.settle();
        let (polls, at) = (script.polls(), world.clock.now());
        assert!(world.manual.advance_to_next(), "the server sleeps");
        assert_eq!(script.polls(), polls, "it does not ask meanwhile");
        pauses.push((world.clock.now() - at).as_millis());
    }
    assert_eq!(pauses[..8], [5, 10, 20, 40, 80, 160, 320, 640]);
    assert_eq!(pauses[8..], [1000; 4]);
    assert_eq!(served.events(), ["reached RLIMIT_NOFILE (EMFILE)"]);
    let client = script.connect();
    assert_eq!(world.now(ask(client, "back")), "BACK");
    assert_eq!(
        served.events(),
        ["over RLIMIT_NOFILE (EMFILE)", "closed 1 eof"]
    );
    assert!(
        !world.manual.advance_to_next(),
        "and nothing sleeps any more"
    );
}

#[test]
fn each_thing_that_may_be_used_up_has_its_name() {
    for (errno, name) in [
        (Errno::MFILE, "RLIMIT_NOFILE (EMFILE)"),
        (Errno::NFILE, "fs.file-max (ENFILE)"),
        (Errno::NOSPC, "fs.epoll.max_user_watches (ENOSPC)"),
        (Errno::NOBUFS, "memory (ENOBUFS, ENOMEM)"),
        (Errno::NOMEM, "memory (ENOBUFS, ENOMEM)"),
    ] {
        let world = World::new();
        let script = Script::default();
        let served = world.serve(Server::default(), script.clone(), uppercase);
        script.fail(errno);
        world.settle();
        assert_eq!(served.events(), [format!("reached {name}")]);
        assert!(!served.serving.is_finished());
    }
}

#[test]
fn any_other_error_ends_the_server_after_a_drain() {
    let world = World::new();
    let script = Script::default();
    let served = world.serve(Server::default(), script.clone(), uppercase);
    let client = script.connect();
    world.settle();
    script.fail(Errno::BADF);
    world.settle();
    assert!(!served.serving.is_finished(), "the client is not cut");
    assert_eq!(world.now(ask(client, "let me finish")), "LET ME FINISH");
    let error = world
        .now(served.serving)
        .expect_err("the listener is broken");
    assert_eq!(error.raw_os_error(), Some(Errno::BADF.raw_os_error()));
}

#[test]
fn the_loop_is_polled_only_when_its_own_waker_was_called() {
    let world = World::new();
    let script = Script::default();
    // The serving future itself drives the executor: it is polled at every wake of anything.
    let ex = world.ex.clone();
    let shutdown = halves::Shutdown::default();
    let server = Server::default().shutdown(shutdown.clone());
    let serving = server.serve(&*ex, script.clone(), uppercase);
    let mut client = script.connect();
    let polls = smol::block_on(ex.run(async {
        let test = async {
            let mut answer = [0; 1];
            client.writer.write_all(b"a").await?;
            client.reader.read_exact(&mut answer).await?;
            let before = script.polls();
            for _ in 0..1000 {
                client.writer.write_all(b"a").await?;
                client.reader.read_exact(&mut answer).await?;
            }
            let polls = script.polls() - before;
            shutdown.abort();
            drop(client);
            io::Result::Ok(polls)
        };
        futures_lite::future::try_zip(serving, test).await
    }));
    assert_eq!(polls.expect("no error").1, 0);
}

#[test]
fn no_connection_is_accepted_before_there_is_room_for_it() {
    let world = World::new();
    let script = Script::default();
    let served = world.serve(
        Server::default().max_connections(2),
        script.clone(),
        uppercase,
    );
    let one = script.connect();
    world.settle();
    let polls = script.polls();
    let two = script.connect();
    let three = script.connect();
    world.settle();
    assert_eq!(script.polls(), polls + 1, "the third is not asked for");
    assert_eq!(served.handle.stats().open, 2);
    assert_eq!(served.events(), ["reached max_connections=2"]);
    assert_eq!(world.now(ask(two, "b")), "B");
    assert_eq!(served.handle.stats().accepted, 3);
    assert_eq!(world.now(ask(three, "c")), "C");
    assert_eq!(world.now(ask(one, "a")), "A");
    assert_eq!(served.handle.stats().open, 0);
    let events = served.events();
    assert_eq!(
        events
            .iter()
            .filter(|event| event.starts_with("over"))
            .count(),
        1,
        "{events:?}"
    );
}

#[test]
fn at_one_below_the_limit_nothing_is_said() {
    let world = World::new();
    let script = Script::default();
    let served = world.serve(
        Server::default().max_connections(3),
        script.clone(),
        uppercase,
    );
    let clients = [script.connect(), script.connect()];
    world.settle();
    assert_eq!((served.handle.stats().open, clients.len()), (2, 2));
    assert!(served.events().is_empty());
}

#[test]
fn with_a_limit_of_one_two_listeners_answer_in_turn() {
    let world = World::new();
    let (first, one) = memory::listener(64);
    let (second, two) = memory::listener(64);
    let listeners = halves::Listeners::from(first).and(second);
    let order = Rc::new(RefCell::new(Vec::new()));
    let heard = order.clone();
    let handler = async move |mut connection: Connection| {
        let mut name = String::new();
        connection.reader.read_to_string(&mut name).await?;
        heard.borrow_mut().push(name);
        Ok(())
    };
    let served = world.serve(Server::default().max_connections(1), listeners, handler);
    // The first of each waits for the end of its input; the others queue behind.
    let mut clients = Vec::new();
    for n in 0..3 {
        for (name, connector) in [("one", &one), ("two", &two)] {
            let mut client = world.connect(connector);
            clients.push(world.now(async move {
                client
                    .writer
                    .write_all(format!("{name} {n}").as_bytes())
                    .await
                    .expect("it fits");
                client
            }));
        }
    }
    drop(clients);
    world.settle();
    let turns: Vec<_> = order
        .borrow()
        .iter()
        .map(|name| name[..3].to_string())
        .collect();
    assert_eq!(turns, ["one", "two", "one", "two", "one", "two"]);
    assert_eq!(served.handle.stats().ended.total(), 6);
}

#[test]
fn a_hundred_thousand_short_connections_leave_nothing_behind() {
    let world = World::new();
    let served = world.serve_memory(Server::default().max_connections(10), uppercase);
    let (served, connector) = served;
    for _ in 0..100 {
        for _ in 0..1000 {
            drop(world.connect(&connector));
        }
        world.settle();
    }
    let stats = served.handle.stats();
    assert_eq!((stats.accepted, stats.open), (100_000, 0));
    assert_eq!(stats.ended[Reason::Eof], 100_000);
}

#[test]
fn the_tasks_of_a_dropped_executor_give_their_places_back() {
    let world = World::new();
    let ex = Rc::new(smol::LocalExecutor::new());
    let (listener, connector) = memory::listener(64);
    let server = Server::default().clock(world.clock.clone());
    let handle = server.handle();
    let handler = async |_connection: MemoryConnection| pending().await;
    // The accept loop runs here, the connections' tasks elsewhere.
    let serving = world.ex.spawn(server.serve(ex.clone(), listener, handler));
    let client = world.connect(&connector);
    world.settle();
    while ex.try_tick() {}
    assert_eq!(handle.stats().open, 1);
    drop((serving, world));
    drop(ex);
    assert_eq!(handle.stats().open, 0);
    assert_eq!(handle.stats().ended[Reason::Aborted], 1);
    drop(client);
}

#[test]
fn a_batch_of_clients_is_accepted_in_several_turns() {
    let world = World::new();
    let script = Script::default();
    let clients: Vec<_> = (0..100).map(|_| script.connect()).collect();
    let server = Server::default().clock(world.clock.clone());
    let serving = server.serve(world.ex.clone(), script.clone(), uppercase);
    let serving = world.ex.spawn(serving);
    assert!(world.ex.try_tick());
    assert_eq!(script.polls(), 32, "then others get a turn");
    world.settle();
    assert_eq!(script.polls(), 101);
    drop((clients, serving));
}
