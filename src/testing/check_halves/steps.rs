//! The checks of bytes and of ends. A failed one panics.

use std::io::IoSliceMut;

use async_executor::LocalExecutor;
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future};

use super::vectored;
use crate::connection::{Connection, Reader, Writer};
use crate::testing::pattern;

pub(super) async fn check_half_close<R1, W1, R2, W2>(
    long: usize,
    connect: &impl AsyncFn() -> (Connection<R1, W1>, Connection<R2, W2>),
) where
    R1: AsyncRead + Unpin,
    W1: AsyncWrite + Unpin,
    R2: AsyncRead + Unpin,
    W2: AsyncWrite + Unpin,
{
    for size in [1, 7, 1024, 65_536] {
        let (near, far) = connect().await;
        // With small buffers, enough bytes that both sides have to wait, in bearable time.
        let long = match size {
            1 => long.min(20_000),
            7 => long.min(300_000),
            _ => long,
        };
        bytes_pass_both_ways_at_once(near, far, &pattern(long), size, End::Closed).await;
    }
    let (near, far) = connect().await;
    half_close_is_seen_and_the_answer_still_comes(near, far, &pattern(long)).await;
    let (near, far) = connect().await;
    half_close_is_seen_and_the_answer_still_comes(far, near, &pattern(long)).await;
}

pub(super) async fn check_bytes<R1, W1, R2, W2>(
    long: usize,
    connect: &impl AsyncFn() -> (Connection<R1, W1>, Connection<R2, W2>),
) where
    R1: AsyncRead + Unpin,
    W1: AsyncWrite + Unpin,
    R2: AsyncRead + Unpin,
    W2: AsyncWrite + Unpin,
{
    let (near, far) = connect().await;
    bytes_pass_both_ways_at_once(near, far, &pattern(long), 4096, End::Open).await;
    let (near, far) = connect().await;
    a_cancelled_read_loses_nothing(near, far).await;
    let (near, far) = connect().await;
    a_read_into_no_room_does_not_wait(near, far).await;
    let (near, far) = connect().await;
    vectored::calls_move_the_same_bytes(near, far).await;
    let (near, far) = connect().await;
    // More than twice the capacity of a pipe.
    let long = long.min(150_000);
    vectored::more_slices_than_one_call_takes_pass(near, far, &pattern(long)).await;
}

/// The way a sender ends after its bytes.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Closed,
    Open,
}

/// Four tasks with four wakers: each half of each end works beside its sibling.
async fn bytes_pass_both_ways_at_once<R1, W1, R2, W2>(
    near: Connection<R1, W1>,
    far: Connection<R2, W2>,
    sent: &[u8],
    size: usize,
    end: End,
) where
    R1: AsyncRead + Unpin,
    W1: AsyncWrite + Unpin,
    R2: AsyncRead + Unpin,
    W2: AsyncWrite + Unpin,
{
    let (mut near_reader, mut near_writer) = (near.reader, near.writer);
    let (mut far_reader, mut far_writer) = (far.reader, far.writer);
    let ex = LocalExecutor::new();
    let tasks = [
        ex.spawn(send(&mut near_writer, sent, size, end)),
        ex.spawn(send(&mut far_writer, sent, size, end)),
        ex.spawn(receive(&mut near_reader, sent, size, end)),
        ex.spawn(receive(&mut far_reader, sent, size, end)),
    ];
    ex.run(async {
        for task in tasks {
            task.await;
        }
    })
    .await;
    assert_eq!(near.peer.payload_in(), sent.len() as u64, "near counts");
    assert_eq!(far.peer.payload_out(), sent.len() as u64, "far counts");
}

async fn send<W: AsyncWrite + Unpin>(writer: &mut Writer<W>, bytes: &[u8], size: usize, end: End) {
    for chunk in bytes.chunks(size) {
        writer.write_all(chunk).await.expect("the peer reads");
    }
    writer.flush().await.expect("the peer reads");
    if end == End::Closed {
        writer.close().await.expect("a close is not refused");
    }
}

async fn receive<R: AsyncRead + Unpin>(
    reader: &mut Reader<R>,
    expected: &[u8],
    size: usize,
    end: End,
) {
    let (mut got, mut buf) = (Vec::new(), vec![0; size]);
    while end == End::Closed || got.len() < expected.len() {
        match reader.read(&mut buf).await.expect("the peer writes") {
            0 => break,
            n => got.extend_from_slice(&buf[..n]),
        }
    }
    assert!(
        got == expected,
        "in order and complete with buffers of {size}: {} of {} bytes",
        got.len(),
        expected.len()
    );
    if end == End::Closed {
        let after = reader.read(&mut buf).await.expect("the end stays the end");
        assert_eq!(after, 0);
    }
}

async fn half_close_is_seen_and_the_answer_still_comes<R1, W1, R2, W2>(
    mut near: Connection<R1, W1>,
    mut far: Connection<R2, W2>,
    answer: &[u8],
) where
    R1: AsyncRead + Unpin,
    W1: AsyncWrite + Unpin,
    R2: AsyncRead + Unpin,
    W2: AsyncWrite + Unpin,
{
    let ask = async {
        near.writer.write_all(b"question").await?;
        near.writer.close().await?;
        near.writer.close().await
    };
    let mut received = Vec::new();
    let (asked, read) = future::zip(ask, far.reader.read_to_end(&mut received)).await;
    asked.expect("a close is not refused, nor is a second one");
    read.expect("the end is seen");
    assert_eq!(received, b"question");
    let refused = near.writer.write_all(b"more").await;
    assert!(refused.is_err(), "nothing is taken after a close");

    let ((), received) = future::zip(send(&mut far.writer, answer, 65_536, End::Closed), async {
        let mut received = Vec::new();
        let read = near.reader.read_to_end(&mut received).await;
        read.map(|_| received)
    })
    .await;
    assert!(received.expect("the answer is read") == answer);
}

pub(super) async fn a_close_is_seen<R1, W1, R2, W2>(
    near: Connection<R1, W1>,
    mut far: Connection<R2, W2>,
) where
    R2: AsyncRead + Unpin,
{
    drop(near);
    let n = far
        .reader
        .read(&mut [0; 8])
        .await
        .expect("no reset: all was read");
    assert_eq!(n, 0);
}

pub(super) async fn a_write_to_a_gone_peer_is_an_error<R1, W1, R2, W2>(
    near: Connection<R1, W1>,
    mut far: Connection<R2, W2>,
) where
    W2: AsyncWrite + Unpin,
{
    drop(near);
    // The first writes may succeed: the system has not noticed that the peer is gone.
    let chunk = pattern(65_536);
    for _ in 0..1000 {
        match far.writer.write(&chunk).await {
            Ok(0) => panic!("Ok(0) says nothing about a peer that is gone"),
            Ok(_) => {}
            Err(_) => return,
        }
    }
    panic!("a thousand writes to a gone peer were taken");
}

async fn a_cancelled_read_loses_nothing<R1, W1, R2, W2>(
    mut near: Connection<R1, W1>,
    mut far: Connection<R2, W2>,
) where
    W1: AsyncWrite + Unpin,
    R2: AsyncRead + Unpin,
{
    let sent = pattern(3000);
    let read = async {
        let (mut got, mut cancelled) = (Vec::new(), 0);
        let mut buf = [0; 64];
        loop {
            // If there is no input yet, the read is dropped while it waits.
            match future::poll_once(far.reader.read(&mut buf)).await {
                Some(n) => got.extend_from_slice(&buf[..n.expect("the peer is there")]),
                None => cancelled += 1,
            }
            if got.len() >= sent.len() {
                return (got, cancelled);
            }
            future::yield_now().await;
        }
    };
    let write = async {
        for chunk in sent.chunks(10) {
            near.writer.write_all(chunk).await.expect("the peer reads");
            near.writer.flush().await.expect("the peer reads");
            future::yield_now().await;
        }
    };
    let ((got, cancelled), ()) = future::zip(read, write).await;
    assert!(cancelled > 0, "some reads were cancelled");
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
}

async fn a_read_into_no_room_does_not_wait<R1, W1, R2, W2>(
    mut near: Connection<R1, W1>,
    mut far: Connection<R2, W2>,
) where
    W1: AsyncWrite + Unpin,
    R2: AsyncRead + Unpin,
{
    read_into_no_room(&mut far.reader).await;
    assert!(!far.reader.at_eof(), "it is not the end of input");
    let mut received = [0];
    let write = async {
        near.writer.write_all(b"a").await.expect("the peer reads");
        near.writer.flush().await.expect("the peer reads");
    };
    let read = async {
        read_into_no_room(&mut far.reader).await;
        let read = far.reader.read_exact(&mut received).await;
        read.expect("the peer has written");
        read_into_no_room(&mut far.reader).await;
    };
    future::zip(write, read).await;
    assert_eq!(&received, b"a");
    // The halves as a layer takes them.
    let (mut beneath, _, _) = far.into_parts();
    read_into_no_room(&mut beneath).await;
}

async fn read_into_no_room(reader: &mut (impl AsyncRead + Unpin)) {
    let mut empty: [&mut [u8]; 3] = [&mut [], &mut [], &mut []];
    let mut empty = empty.each_mut().map(|buf| IoSliceMut::new(buf));
    let reads = [
        future::poll_once(reader.read(&mut [])).await,
        future::poll_once(reader.read_vectored(&mut [])).await,
        future::poll_once(reader.read_vectored(&mut empty)).await,
    ];
    for read in reads {
        let read = read.expect("it does not wait");
        assert_eq!(read.expect("the peer is there"), 0);
    }
}
