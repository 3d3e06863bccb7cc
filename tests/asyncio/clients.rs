//! Clients: asyncio's `open_connection` and `open_unix_connection`, and a pipe.

use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use futures_lite::AsyncReadExt;
use futures_lite::future::block_on;
use futures_lite::io::sink;
use halves::descriptor::FdReader;
use halves::framing::FrameError;
use halves::{Connection, Endpoint, Executor, connect};

use crate::served::{ask_for_all, while_answering};
use crate::support::place;

#[test]
fn a_client_reads_a_line_and_then_all_that_is_left() {
    while_answering("127.0.0.1:0", async |address| {
        let c = connect(address).await.expect("it listens");
        ask_for_all(c).await;
    });
}

#[test]
fn a_client_of_a_unix_socket_is_no_different() {
    let dir = place::dir();
    let path = dir.path().join("x.sock");
    while_answering(path.to_str().expect("text"), async |address| {
        let c = connect(address).await.expect("it listens");
        assert!(matches!(c.peer.endpoint(), Endpoint::Unix(_)));
        ask_for_all(c).await;
    });
}

/// Writes to a peer that closes without reading.
async fn unread(mut c: Connection, hang_up: impl FnOnce()) {
    let mut writer = c.writer.buffered();
    writer.write(b"hello?").expect("room");
    writer.flush().await.expect("it is the kernel's");
    hang_up();
    // Three times: a second read must not return the end instead of the error.
    for _ in 0..3 {
        match c.reader.line().await.expect_err("a reset") {
            FrameError::Io(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            error => panic!("{error:?}"),
        }
        let read = c.reader.read(&mut [0]).await.expect_err("a reset");
        assert_eq!(read.kind(), ErrorKind::ConnectionReset);
        assert!(!c.reader.at_eof());
    }
}

#[test]
fn a_connection_that_is_lost_is_an_error_of_the_read() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it has one").to_string();
    Executor::new().block_on(async {
        let c = connect(address).await.expect("it listens");
        unread(c, || drop(listener.accept().expect("it has come"))).await;
    });
}

#[test]
fn a_unix_connection_that_is_lost_is_an_error_of_the_read() {
    let dir = place::dir();
    let path = dir.path().join("x.sock");
    let listener = UnixListener::bind(&path).expect("the address is free");
    Executor::new().block_on(async {
        let c = connect(&*path).await.expect("it listens");
        unread(c, || drop(listener.accept().expect("it has come"))).await;
    });
}

#[test]
fn all_of_a_pipe_can_be_read_though_it_is_more_than_the_limit() {
    let (from, mut to) = std::io::pipe().expect("a pipe");
    to.write_all(b"data").expect("room");
    drop(to);
    block_on(async {
        let from = FdReader::new(from).expect("a descriptor");
        let mut reader = Connection::new(from, sink()).reader;
        reader.set_frame_limit(1);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).await.expect("the end");
        assert_eq!(all, b"data");
    });
}
