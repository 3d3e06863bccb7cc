//! The same checks of a server on every runtime: smol, this library's executor, a `LocalExecutor`,
//! futures-lite alone, async-std and tokio. The test of a runtime is a few lines; the checks are in
//! `check_serving` and in `Client`, a blocking client on a thread of its own.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::num::NonZero;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use futures_lite::future::{self, BoxedLocal};
use futures_lite::{AsyncWriteExt, FutureExt};
use halves::connection::{AnyRead, AnyWrite};
use halves::server::Serving;
use halves::time::ManualClock;
use halves::{
    Connection, Event, Executor, Handle, Listener, Reason, Report, Server, Spawn, spawn_fn,
};

/// How long a client waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The drain deadline, on a clock that only the client moves.
const DEADLINE: Duration = Duration::from_hours(4);
/// Requests that make a handler panic or hang.
const PANIC: u8 = b'!';
const HANG: u8 = b'?';

#[test]
fn smol_serves() {
    let ex = smol::Executor::new();
    smol::block_on(ex.run(check_serving(&ex, service)));
}

#[test]
fn smol_serves_on_its_global_executor() {
    smol::block_on(check_serving(
        spawn_fn(|task| smol::spawn(task).detach()),
        service,
    ));
}

#[test]
fn our_executor_serves_on_one_thread() {
    let ex = Executor::new();
    ex.block_on(check_serving(&ex, service));
}

#[test]
fn our_executor_serves_on_two_threads() {
    let ex = Executor::threads(NonZero::new(2).expect("2 is not 0"));
    ex.block_on(check_serving(&ex, service));
}

#[test]
fn a_local_executor_serves_a_handler_that_is_not_send() {
    let ex = smol::LocalExecutor::new();
    let (calls, seen) = counting_service();
    let report = smol::block_on(ex.run(check_serving(&ex, calls)));
    assert_eq!(seen.get(), report.stats.accepted);
}

#[test]
fn futures_lite_serves_while_it_drives_an_executor() {
    let ex = async_executor::Executor::new();
    future::block_on(ex.run(check_serving(&ex, service)));
}

#[test]
fn futures_lite_serves_while_others_run_the_tasks() {
    let others = |task| drop(thread::spawn(|| future::block_on(task)));
    future::block_on(check_serving(spawn_fn(others), service));
}

#[test]
fn async_std_serves() {
    async_std::task::block_on(check_serving(
        spawn_fn(|task| drop(async_std::task::spawn(task))),
        service,
    ));
}

fn runtime(builder: &mut tokio::runtime::Builder) -> tokio::runtime::Runtime {
    builder.enable_all().build().expect("a runtime")
}

fn current_thread() -> tokio::runtime::Runtime {
    runtime(&mut tokio::runtime::Builder::new_current_thread())
}

fn serve_with_tasks_of_tokio(runtime: &tokio::runtime::Runtime) {
    let executor = spawn_fn(|task| drop(tokio::spawn(task)));
    runtime.block_on(check_serving(executor, service));
}

#[test]
fn tokio_serves_on_one_thread() {
    serve_with_tasks_of_tokio(&current_thread());
}

#[test]
fn tokio_serves_on_several_threads() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    serve_with_tasks_of_tokio(&runtime(builder.worker_threads(2)));
}

#[test]
fn a_local_set_of_tokio_serves_a_handler_that_is_not_send() {
    let (calls, seen) = counting_service();
    let report = tokio::task::LocalSet::new().block_on(
        &current_thread(),
        check_serving(spawn_fn(|task| drop(tokio::task::spawn_local(task))), calls),
    );
    assert_eq!(seen.get(), report.stats.accepted);
}

#[test]
#[cfg(feature = "tokio")]
fn tokio_serves_on_a_listener_of_its_own() {
    current_thread().block_on(async {
        let listener = tokio::net::TcpListener::bind(own_address()).await;
        let listener = listener.expect("a free port");
        let executor = spawn_fn(|task| drop(tokio::spawn(task)));
        check_serving_on(listener, executor, service).await
    });
}

/// Serves on a free port, while a client on another thread runs all checks.
async fn check_serving<E, H, F>(executor: E, handler: H) -> Report
where
    E: Spawn<Serving<H, Connection, F>>,
    H: FnOnce(Connection) -> F + Clone,
    F: Future<Output = io::Result<()>>,
{
    let listener = halves::bind(own_address()).await.expect("a free port");
    check_serving_on(listener, executor, handler).await
}

fn own_address() -> SocketAddr {
    // Each call has an address of its own: another test could soon listen on the port of a server
    // that has ended, and accept a client that has to be refused here.
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let own = Ipv4Addr::new(127, 0, 1, NEXT.fetch_add(1, Ordering::Relaxed));
    SocketAddr::from((own, 0))
}

async fn check_serving_on<L, E, H, F>(listener: L, executor: E, handler: H) -> Report
where
    L: Listener<Reader = AnyRead, Writer = AnyWrite>,
    E: Spawn<Serving<H, Connection, F>>,
    H: FnOnce(Connection) -> F + Clone,
    F: Future<Output = io::Result<()>>,
{
    let (clock, time) = halves::Clock::manual();
    let (sender, received) = mpsc::channel();
    let server = Server::default()
        .clock(clock)
        .drain_timeout(DEADLINE)
        .on_event(move |event| {
            // The client may have failed and ended.
            let _ = match event {
                Event::Draining { connections, .. } => {
                    sender.send(Reported::Draining(*connections))
                }
                Event::Closed(closed) => sender.send(Reported::Closed(closed.reason)),
                _ => Ok(()),
            };
        });
    let client = Client {
        address: listener.local_addrs()[0].socket_addr().expect("it is TCP"),
        server: server.handle(),
        time,
        received,
    };
    let checks = thread::spawn(move || client.check());
    let report = server.serve(executor, listener, handler).await;
    let connections = checks.join().unwrap_or_else(|panic| resume_unwind(panic));

    let report = report.expect("the server ends well");
    assert_eq!((report.finished, report.aborted), (2, 1));
    let stats = report.stats;
    assert_eq!((stats.accepted, stats.open), (connections, 0));
    for (reason, count) in [
        (Reason::Panic, 1),
        (Reason::Drained, 1),
        (Reason::Aborted, 1),
        (Reason::Eof, connections - 3),
    ] {
        assert_eq!(stats.ended[reason], count, "{reason}");
    }
    report
}

/// Answers in capitals; panics or hangs on request.
async fn service(mut connection: Connection) -> io::Result<()> {
    let mut buf = vec![0; 16 * 1024];
    loop {
        let n = connection.reader.read_or_drain(&mut buf).await?;
        let text = &mut buf[..n];
        match text.first() {
            None => return connection.writer.close().await,
            // As `panic!`, without its message on standard error.
            Some(&PANIC) => resume_unwind(Box::new("asked to")),
            Some(&HANG) => future::pending().await,
            Some(_) => text.make_ascii_uppercase(),
        }
        connection.writer.write_all(text).await?;
    }
}

/// A service in a handler that is not `Send`, and the number of its calls.
fn counting_service() -> (
    impl FnOnce(Connection) -> BoxedLocal<io::Result<()>> + Clone,
    Rc<Cell<u64>>,
) {
    let seen = Rc::new(Cell::new(0));
    let calls = seen.clone();
    let handler = move |connection| {
        calls.set(calls.get() + 1);
        service(connection).boxed_local()
    };
    (handler, seen)
}

/// Events of the server that the client checks.
#[derive(Debug, PartialEq)]
enum Reported {
    Draining(usize),
    Closed(Reason),
}

struct Client {
    address: SocketAddr,
    server: Handle,
    time: ManualClock,
    received: Receiver<Reported>,
}

impl Client {
    /// Runs all checks, each on connections of its own. Returns the number of connections.
    fn check(self) -> u64 {
        // A check that fails ends the server too.
        let end = AbortOnDrop(self.server.clone());
        let mut connections = 0;
        connections += self.check_half_close();
        connections += self.check_two_mebibytes_both_ways();
        connections += self.check_several_at_once();
        connections += self.check_that_a_panic_ends_one_connection_only();
        connections += self.check_drain();
        drop(end);
        connections
    }

    fn check_half_close(&self) -> u64 {
        let mut stream = self.connect();
        stream.write_all(b"half").expect("sent");
        stream.shutdown(Shutdown::Write).expect("half-closed");
        assert_eq!(rest(&mut stream), b"HALF");
        self.next_event(Reported::Closed(Reason::Eof));
        1
    }

    fn check_two_mebibytes_both_ways(&self) -> u64 {
        let mut stream = self.connect();
        let text: Vec<u8> = (b'a'..=b'z').cycle().take(2 * 1024 * 1024).collect();
        let answer = text.to_ascii_uppercase();
        let mut sender = stream.try_clone().expect("cloned");
        let sent = thread::spawn(move || {
            sender.write_all(&text)?;
            sender.shutdown(Shutdown::Write)
        });
        // Not assert_eq, which would print 4 MiB.
        assert!(rest(&mut stream) == answer, "2 MiB come back in capitals");
        sent.join().expect("no panic").expect("all was sent");
        self.next_event(Reported::Closed(Reason::Eof));
        1
    }

    fn check_several_at_once(&self) -> u64 {
        let mut streams: Vec<_> = (0..8).map(|_| self.connect()).collect();
        for round in 0..3 {
            for (n, stream) in streams.iter_mut().enumerate() {
                ask(stream, &format!("client {n} in round {round}"));
            }
        }
        for stream in streams {
            drop(stream);
            self.next_event(Reported::Closed(Reason::Eof));
        }
        8
    }

    fn check_that_a_panic_ends_one_connection_only(&self) -> u64 {
        let (mut before, mut unlucky) = (self.connect(), self.connect());
        ask(&mut before, "before");
        unlucky.write_all(&[PANIC]).expect("sent");
        assert_reset(&mut unlucky);
        self.next_event(Reported::Closed(Reason::Panic));
        ask(&mut before, "still here");
        let mut after = self.connect();
        ask(&mut after, "after");
        drop(before);
        self.next_event(Reported::Closed(Reason::Eof));
        drop(after);
        self.next_event(Reported::Closed(Reason::Eof));
        3
    }

    /// Three clients are open: one sends nothing more, one sends more, one never ends.
    fn check_drain(&self) -> u64 {
        let (mut quiet, mut busy, mut hung) = (self.connect(), self.connect(), self.connect());
        for stream in [&mut quiet, &mut busy, &mut hung] {
            ask(stream, "hello");
        }
        hung.write_all(&[HANG]).expect("sent");

        self.server.shutdown().drain();
        self.next_event(Reported::Draining(3));
        let refused = TcpStream::connect(self.address).map_err(|error| error.kind());
        assert_eq!(refused.expect_err("closed"), ErrorKind::ConnectionRefused);

        ask(&mut busy, "one more thing");
        busy.shutdown(Shutdown::Write).expect("half-closed");
        assert_eq!(rest(&mut busy), b"");
        self.next_event(Reported::Closed(Reason::Eof));

        // The task of the quiet client notices the drain in its own time: seconds pass until it
        // has.
        let drained = loop {
            self.time.advance(Duration::from_secs(1));
            match self.received.recv_timeout(Duration::from_millis(1)) {
                Err(RecvTimeoutError::Timeout) => {}
                received => break received,
            }
        };
        assert_eq!(drained, Ok(Reported::Closed(Reason::Drained)));
        assert_eq!(rest(&mut quiet), b"");

        self.time.advance(DEADLINE);
        assert_reset(&mut hung);
        3
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("connected");
        stream.set_read_timeout(Some(TIMEOUT)).expect("set");
        stream
    }

    /// The next event of the server. Each check takes all of its events.
    #[track_caller]
    fn next_event(&self, expected: Reported) {
        assert_eq!(self.received.recv_timeout(TIMEOUT), Ok(expected));
    }
}

fn ask(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).expect("sent");
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).expect("answered");
    assert_eq!(answer, text.to_ascii_uppercase().as_bytes());
}

/// All bytes before the end of input.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("an end of input");
    rest
}

fn assert_reset(stream: &mut TcpStream) {
    let read = stream.read(&mut [0; 16]).map_err(|error| error.kind());
    assert_eq!(read, Err(ErrorKind::ConnectionReset));
}

struct AbortOnDrop(Handle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.shutdown().abort();
    }
}
