//! Water marks, the end of output, and errors of a buffered writer without a server.

use std::io::{self, ErrorKind, Read};
use std::net::TcpListener;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::AsyncWrite;
use futures_lite::future::{block_on, poll_once};
use futures_lite::io::{empty, sink};
use halves::listener::device;
use halves::listener::memory::pair;
use halves::{Connection, Executor, Peer, connect};

#[test]
fn no_bytes_are_accepted_above_the_high_mark() {
    let (near, _far) = pair(1);
    let mut writer = near.writer.buffered().water_marks(2, 8);
    writer.write(b"1234567").expect("below it");
    writer.write(b"8").expect("below it");
    writer.write(b"9").expect("at it");
    for bytes in [&b""[..], b"0"] {
        let full = writer.write(bytes).expect_err("above it");
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        assert_eq!(
            full.to_string(),
            "9 bytes wait to be sent: call ready() first"
        );
    }
    assert_eq!(writer.waiting(), 9);
    // One byte goes into the pipe.
    assert!(block_on(poll_once(writer.ready())).is_none());
    assert_eq!(writer.waiting(), 8);
    writer.write_several(&[b"a", b"b"]).expect("at it");
    assert_eq!(writer.waiting(), 10);
}

#[test]
fn the_marks_are_64_and_16_kib_unless_set() {
    let c = Connection::new(empty(), sink());
    let mut writer = c.writer.buffered();
    writer.write(&vec![0; 65_536]).expect("at the mark");
    writer.write(&[0]).expect("one above");
    writer.write(&[0]).expect_err("above");
}

#[test]
#[should_panic(expected = "low water mark")]
fn marks_that_are_crossed_are_a_mistake() {
    let c = Connection::new(empty(), sink());
    let _ = c.writer.buffered().water_marks(2, 1);
}

/// Without a server, the writer alone sends the rest.
#[test]
fn without_a_server_a_drain_sends_everything() {
    let (near, far) = pair(4);
    let (mut writer, mut reader) = (near.writer.buffered(), far.reader);
    writer.write(b"12345678").expect("room");
    assert!(block_on(poll_once(writer.ready())).is_none());
    assert_eq!(block_on(reader.exactly(4)).expect("four"), b"1234");
    assert!(block_on(poll_once(writer.ready())).is_some());
    assert_eq!(writer.waiting(), 0);
}

#[test]
fn the_end_is_sent_once_after_all_bytes() {
    let (near, mut far) = pair(4);
    let mut writer = near.writer.buffered();
    writer.write(b"123456").expect("room");
    assert!(!writer.is_closing());
    assert!(block_on(poll_once(writer.write_eof())).is_none());
    assert!(writer.is_closing());
    let late = writer.write(b"7").expect_err("after the end");
    assert_eq!(late.kind(), ErrorKind::BrokenPipe);
    assert_eq!(block_on(far.reader.exactly(4)).expect("four"), b"1234");
    block_on(writer.close()).expect("the same call, made again");
    block_on(writer.close()).expect("it is closed");
    assert_eq!(block_on(far.reader.exactly(2)).expect("two"), b"56");
    assert_eq!(block_on(far.reader.line()).expect("the end"), None);
    // The other direction goes on.
    let mut back = far.writer.buffered();
    back.write(b"8").expect("room");
    block_on(back.close()).expect("it is read");
    let mut reader = near.reader;
    assert_eq!(block_on(reader.exactly(1)).expect("one"), b"8");
}

#[test]
fn ending_one_direction_of_a_stream_that_cannot_is_an_error() {
    let peer = Peer::default().without_half_close();
    let c = Connection::from_parts(empty(), vec![], peer).with_peer(Peer::default());
    let mut writer = c.writer.buffered();
    assert!(!writer.can_write_eof());
    let error = block_on(writer.write_eof()).expect_err("it cannot");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    writer.write(b"it goes on").expect("nothing has changed");
    block_on(writer.close()).expect("this ends both");

    let null = block_on(device("/dev/null")).expect("there is one");
    assert!(!null.writer.buffered().can_write_eof());
}

/// The kernel has all bytes when the close returns, not at the end of the turn.
#[test]
fn a_close_is_done_when_the_kernel_has_everything() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it has one").to_string();
    Executor::new().block_on(async {
        let c = connect(address.as_str()).await.expect("it listens");
        let (mut peer, _) = listener.accept().expect("it has come");
        let timeout = Some(Duration::from_secs(20));
        peer.set_read_timeout(timeout).expect("more than nothing");
        assert_eq!(c.peer.to_string(), address);
        let mut writer = c.writer.buffered();
        for n in 0..100_u8 {
            writer.write(&[n]).expect("room");
            writer.ready().await.expect("a peer");
        }
        writer.close().await.expect("a peer");
        let mut received = [0; 100];
        // The reactor has no turn in between.
        peer.read_exact(&mut received).expect("everything");
        assert!(received.into_iter().eq(0..100));
    });
}

#[test]
fn an_error_of_the_stream_is_returned_by_the_drain() {
    let (near, far) = pair(4);
    drop(far);
    let mut writer = near.writer.buffered();
    writer.write(b"hello").expect("room");
    let gone = block_on(writer.ready()).expect_err("it is not read");
    assert_eq!(gone.kind(), ErrorKind::BrokenPipe);
    block_on(writer.into_inner()).expect_err("it is not read");
    assert_eq!(near.peer.bytes_unsent(), 5);
}

/// Accepts no bytes.
struct Stuck;

impl AsyncWrite for Stuck {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(0))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_stream_that_accepts_no_bytes_is_an_error() {
    let mut writer = Connection::new(empty(), Stuck).writer.buffered();
    block_on(writer.ready()).expect("there is nothing to send");
    writer.write(b"hello").expect("room");
    let stuck = block_on(writer.ready()).expect_err("it is stuck");
    assert_eq!(stuck.kind(), ErrorKind::WriteZero);
}

#[test]
fn a_writer_that_never_has_to_wait_shares_the_thread() {
    let mut writer = Connection::new(empty(), sink()).writer.buffered();
    let mut rounds = 0;
    let flood = async {
        loop {
            writer.write(b"hello").expect("room");
            writer.ready().await.expect("it takes everything");
            rounds += 1;
        }
    };
    assert!(
        block_on(poll_once(flood)).is_none(),
        "the others are to run"
    );
    assert!((1..100).contains(&rounds), "{rounds} in one turn");
}
