//! The end and the reset of each side become those of the other.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_lite::io::{AsyncReadExt, BufWriter};
use futures_lite::{AsyncRead, AsyncWrite, future};
use halves::listener::memory;
use halves::{Connection, Executor, service};

use super::{End, RESET, Relayed, close, read, write};
use crate::support::conformance;

#[test]
fn a_half_close_is_passed_on_in_both_orders() {
    for client_first in [true, false] {
        let mut relayed = Relayed::new(10, 10);
        let (first, second) = if client_first {
            (&mut relayed.client, &mut relayed.origin)
        } else {
            (&mut relayed.origin, &mut relayed.client)
        };
        write(first, b"question").expect("open");
        close(first);
        while relayed.ex.try_tick() {}
        assert_eq!(read(second), (b"question".to_vec(), End::Closed));
        for _ in 0..3 {
            write(second, b"answer").expect("open");
            while relayed.ex.try_tick() {}
            assert_eq!(read(first), (b"answer".to_vec(), End::Open));
        }
        close(second);
        while relayed.ex.try_tick() {}
        assert_eq!(read(first), (vec![], End::Closed));
        relayed.result().expect("both have ended");
    }
}

#[test]
fn a_reset_is_passed_on_behind_the_bytes_that_are_read() {
    for back in [false, true] {
        let mut relayed = Relayed::new(100, 100);
        let (from, to) = if back {
            (&mut relayed.origin, &mut relayed.client)
        } else {
            (&mut relayed.client, &mut relayed.origin)
        };
        // The other side has room for a half of them.
        for _ in 0..2 {
            write(from, &[7; 100]).expect("open");
            while relayed.ex.try_tick() {}
        }
        from.peer.abort();
        while relayed.ex.try_tick() {}
        assert_eq!(read(to), (vec![7; 100], End::Open));
        while relayed.ex.try_tick() {}
        // A reset in memory drops what is not read.
        assert_eq!(read(to), (vec![], RESET));
        let error = relayed.result().expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn an_answer_before_the_question_is_read_is_passed_on_whole() {
    let mut relayed = Relayed::new(1 << 20, 100);
    write(&mut relayed.client, &[1; 1000]).expect("open");
    relayed.settle();
    write(&mut relayed.origin, b"no").expect("open");
    // Neither half is left: the rest of the question cannot be sent.
    let (unused, _) = memory::pair(1);
    drop(std::mem::replace(&mut relayed.origin, unused));
    relayed.settle();
    assert_eq!(read(&mut relayed.client), (b"no".to_vec(), End::Closed));
    relayed.result().expect("the origin has ended in order");
}

#[test]
fn a_side_that_takes_nothing_more_may_still_send() {
    let mut relayed = Relayed::new(100, 100);
    let (unused, _) = memory::pair(1);
    drop(std::mem::replace(&mut relayed.client, unused));
    relayed.settle();
    // The origin reads the end of the client, and its answer is refused.
    assert_eq!(read(&mut relayed.origin), (vec![], End::Closed));
    write(&mut relayed.origin, b"answer").expect("open");
    relayed.settle();
    relayed.result().expect("the client has ended in order");
    let late = write(&mut relayed.origin, b"more").expect_err("the relay is gone");
    assert_eq!(late.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn an_end_ends_a_side_that_cannot_half_close() {
    for with_answer in [false, true] {
        let (mut client, near) = memory::pair(100);
        let (mut far, mut origin) = memory::pair(100);
        far.peer = far.peer.without_half_close();
        write(&mut client, b"question").expect("open");
        if with_answer {
            write(&mut origin, b"answer").expect("open");
        }
        close(&mut client);
        let mut relayed = Relayed::with(client, near, far, origin);
        relayed.settle();
        let answer = if with_answer { &b"answer"[..] } else { b"" };
        assert_eq!(read(&mut relayed.client), (answer.to_vec(), End::Closed));
        assert_eq!(
            read(&mut relayed.origin),
            (b"question".to_vec(), End::Closed)
        );
        relayed.result().expect("an end in order");
    }
}

#[test]
fn a_reset_of_a_socket_is_passed_on_to_a_socket() {
    Executor::new().block_on(async {
        for back in [false, true] {
            let (client, near) = connected().await;
            let (far, origin) = connected().await;
            let (from, mut to) = if back {
                (origin, client)
            } else {
                (client, origin)
            };
            from.peer.abort();
            let (result, read) =
                future::zip(service::relay(near, far), to.reader.read(&mut [0])).await;
            let kinds = [
                result.expect_err("a reset").kind(),
                read.expect_err("a reset").kind(),
            ];
            assert_eq!(kinds, [ErrorKind::ConnectionReset; 2]);
        }
    });
}

async fn connected() -> (Connection, Connection) {
    let connected: io::Result<_> = conformance::connected("127.0.0.1:0").await;
    connected.expect("connected")
}

/// The target has sent its answer when it resets: the client gets all of it, and then a reset.
#[test]
fn a_socket_that_resets_after_its_answer_resets_the_client_after_the_answer() {
    Executor::new().block_on(async {
        let (mut client, near) = connected().await;
        let (far, mut origin) = connected().await;
        futures_lite::AsyncWriteExt::write_all(&mut client.writer, b"question")
            .await
            .expect("open");
        let relay = service::relay(near, far);
        let ends = async {
            let mut first = [0];
            origin.reader.read_exact(&mut first).await.expect("open");
            let answer = futures_lite::AsyncWriteExt::write_all(&mut origin.writer, b"answer");
            answer.await.expect("open");
            let mut received = [0; 6];
            client
                .reader
                .read_exact(&mut received)
                .await
                .expect("whole");
            assert_eq!(&received, b"answer");
            // With the rest unread, this is a reset.
            drop(origin);
            let end = client.reader.read(&mut received).await;
            assert_eq!(end.expect_err("a reset").kind(), ErrorKind::ConnectionReset);
        };
        let (result, ()) = future::zip(relay, ends).await;
        assert_eq!(
            result.expect_err("a reset").kind(),
            ErrorKind::ConnectionReset
        );
    });
}

/// A writer of others may hold bytes back.
#[test]
fn bytes_are_flushed_when_no_more_come() {
    let (mut client, near) = memory::pair(100);
    let (far, mut origin) = memory::pair(100);
    let (reader, writer, peer) = far.into_parts();
    let far = Connection::from_parts(reader, BufWriter::new(writer), peer);
    let mut relay = service::relay(near, far);
    write(&mut client, b"hello").expect("open");
    let polled = future::block_on(future::poll_once(Pin::new(&mut relay)));
    assert!(polled.is_none());
    assert_eq!(read(&mut origin), (b"hello".to_vec(), End::Open));
}

/// A socket that reports its reset once, to a write. Reads then return the end.
#[derive(Clone, Default)]
struct ResetOnce(Arc<Mutex<(bool, Option<Waker>)>>);

impl AsyncRead for ResetOnce {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock().expect("no panic");
        if state.0 {
            return Poll::Ready(Ok(0));
        }
        state.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for ResetOnce {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock().expect("no panic");
        state.0 = true;
        state.1.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Err(ErrorKind::ConnectionReset.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_reset_that_a_write_reports_is_no_end() {
    let (mut client, near) = memory::pair(100);
    let socket = ResetOnce::default();
    write(&mut client, b"hello").expect("open");
    let relay = service::relay(near, Connection::new(socket.clone(), socket));
    let error = future::block_on(relay).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(read(&mut client), (vec![], RESET));
}
