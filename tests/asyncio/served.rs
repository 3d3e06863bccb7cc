//! Servers: asyncio's `start_server` and `start_unix_server`, and handlers that fail.

use std::io;
use std::sync::mpsc;

use halves::listener::memory::{self, MemoryConnection};
use halves::{Connection, Executor, Handle, Reason, Server, bind, connect};

use crate::support::harness::World;
use crate::support::place;

/// Answers one line, with a line and more.
async fn answer(mut c: Connection) -> io::Result<()> {
    let mut writer = c.writer.buffered();
    if let Some(line) = c.reader.line().await? {
        writer.write_several(&[b"You said: ", &line])?;
        writer.write(b"and that was\nall.")?;
    }
    writer.close().await
}

/// Runs `client` with the address of a server that answers a line; then the server drains.
pub(crate) fn while_answering<T>(address: &str, client: impl AsyncFnOnce(String) -> T) -> T {
    let ex = Executor::new();
    let done = ex.block_on(async {
        let listeners = bind(address).await?;
        let client = async |server: Handle| client(server.local_addrs()[0].to_string()).await;
        Server::default()
            .serve_while(&ex, listeners, answer, client)
            .await
    });
    let (done, report) = done.expect("it serves");
    assert_eq!((report.finished, report.aborted), (1, 0));
    done
}

/// A whole conversation with that server.
pub(crate) async fn ask_for_all(mut c: Connection) {
    let mut writer = c.writer.buffered();
    writer.write(b"hello\n").expect("room");
    writer.ready().await.expect("it listens");
    let line = c.reader.line().await.expect("a line");
    assert_eq!(line.as_deref(), Some(&b"You said: hello\n"[..]));
    let mut rest = Vec::new();
    futures_lite::AsyncReadExt::read_to_end(&mut c.reader, &mut rest)
        .await
        .expect("the end");
    assert_eq!(rest, b"and that was\nall.");
    assert!(!writer.is_closing());
    writer.close().await.expect("a peer");
    assert!(writer.is_closing());
}

#[test]
fn a_handler_answers_over_tcp_and_its_server_ends() {
    let line = while_answering("127.0.0.1:0", one_line);
    assert_eq!(line, b"You said: hello world!\n");
}

#[test]
fn a_handler_answers_over_a_unix_socket_and_its_server_ends() {
    let dir = place::dir();
    let path = dir.path().join("x.sock");
    let line = while_answering(path.to_str().expect("text"), one_line);
    assert_eq!(line, b"You said: hello world!\n");
    assert!(!path.exists(), "its file goes with it");
}

async fn one_line(address: String) -> Vec<u8> {
    let mut c = connect(address).await.expect("it listens");
    let mut writer = c.writer.buffered();
    writer.write(b"hello world!\n").expect("room");
    writer.ready().await.expect("it listens");
    let line = c.reader.line().await.expect("a line");
    writer.close().await.expect("a peer");
    line.expect("before the end")
}

#[test]
fn an_error_or_a_panic_of_a_handler_is_reported_with_its_text_and_the_server_goes_on() {
    let world = World::new();
    let handler = async |mut c: MemoryConnection| match c.reader.exactly(1).await?[0] {
        b'e' => Err(io::Error::other("an error")),
        b'p' => panic!("a panic"),
        _ => Ok(()),
    };
    let (served, connector) = world.serve_memory(Server::default(), handler);
    for (word, event) in [
        (b"e", "closed 1 error: an error"),
        (b"p", "closed 2 panic: a panic"),
        (b"o", "closed 3 handler"),
    ] {
        let c = world.connect(&connector);
        let mut writer = c.writer.buffered();
        world
            .now(async move {
                writer.write(word)?;
                writer.close().await
            })
            .expect("it listens");
        assert_eq!(served.events(), [event]);
        drop(c.reader);
    }
}

#[test]
fn a_handler_that_is_cancelled_resets_its_connection_and_has_no_error() {
    let world = World::new();
    let (sender, receiver) = mpsc::channel();
    let handler = async move |mut c: MemoryConnection| {
        let _recorder = Recorder(sender);
        c.reader.line().await.map(drop).map_err(io::Error::from)
    };
    let (served, connector) = world.serve_memory(Server::default(), handler);
    let mut client = world.connect(&connector);
    assert!(receiver.try_recv().is_err(), "it waits for a line");
    assert!(served.handle.kill(1));
    world.settle();
    receiver.try_recv().expect("it was dropped");
    assert_eq!(served.events(), ["closed 1 killed"]);
    let read = world.now(async move { client.reader.line().await });
    let reset = io::Error::from(read.expect_err("a reset"));
    assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(served.handle.stats().ended[Reason::Killed], 1);
}

/// Records its drop.
#[derive(Clone)]
struct Recorder(mpsc::Sender<()>);

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// There is nothing to warn of: the server is dropped with all that it has.
#[test]
fn a_server_that_is_dropped_listens_no_more_and_resets_its_clients() {
    let world = World::new();
    let (listener, connector) = memory::listener(64);
    let served = world.serve(
        Server::default(),
        listener,
        async |mut c: MemoryConnection| {
            c.reader.line().await?;
            Ok(())
        },
    );
    let mut client = world.connect(&connector);
    drop(served.serving);
    world.settle();
    let read = world.now(async move { client.reader.line().await });
    let reset = io::Error::from(read.expect_err("a reset"));
    assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
    let refused = world.now(async move { connector.connect().await });
    assert_eq!(
        refused.expect_err("no listener is there").kind(),
        io::ErrorKind::ConnectionRefused
    );
}
