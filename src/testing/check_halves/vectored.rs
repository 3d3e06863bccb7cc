//! Reads and writes of several slices at once.

use std::io::{IoSlice, IoSliceMut};

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future};

use crate::connection::Connection;
use crate::testing::pattern;

/// More slices than one system call accepts.
const SLICES: usize = 1100;
/// Few bytes, so that the slices of one call do not fill a pipe.
const BYTES: usize = 60;

pub(super) async fn calls_move_the_same_bytes<R1, W1, R2, W2>(
    mut near: Connection<R1, W1>,
    mut far: Connection<R2, W2>,
) where
    W1: AsyncWrite + Unpin,
    R2: AsyncRead + Unpin,
{
    let sent = pattern(5000);
    let write = async {
        let mut rest = &sent[..];
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(rest.len() / 3);
            let slices = [IoSlice::new(head), IoSlice::new(&[]), IoSlice::new(tail)];
            let written = near.writer.write_vectored(&slices).await;
            rest = &rest[written.expect("the peer reads")..];
        }
        near.writer.flush().await.expect("the peer reads");
    };
    let read = async {
        let mut got = Vec::<u8>::new();
        let (mut head, mut tail) = ([0; 3], [0; 100]);
        while got.len() < sent.len() {
            let mut slices = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)];
            let n = far.reader.read_vectored(&mut slices).await;
            match n.expect("the peer writes") {
                0 => break,
                n => got.extend(head.iter().chain(&tail).take(n)),
            }
        }
        got
    };
    let ((), got) = future::zip(write, read).await;
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
}

/// If the stream has no more room than a pipe, it gets full once.
pub(super) async fn more_slices_than_one_call_takes_pass<R1, W1, R2, W2>(
    mut near: Connection<R1, W1>,
    mut far: Connection<R2, W2>,
    sent: &[u8],
) where
    W1: AsyncWrite + Unpin,
    R2: AsyncRead + Unpin,
{
    let (mut rest, mut waits) = (sent, 0);
    while !rest.is_empty() && waits < 3 {
        match future::poll_once(write(&mut near.writer, rest)).await {
            Some(written) => (rest, waits) = (&rest[written..], 0),
            // It may have yielded to other tasks.
            None => waits += 1,
        }
    }
    let write = async {
        while !rest.is_empty() {
            rest = &rest[write(&mut near.writer, rest).await..];
        }
        near.writer.flush().await.expect("the peer reads");
    };
    let read = async {
        let mut got = Vec::new();
        while got.len() < sent.len() {
            if read(&mut far.reader, &mut got).await == 0 {
                break;
            }
        }
        got
    };
    let ((), got) = future::zip(write, read).await;
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
}

/// The bytes follow more empty slices than one system call accepts.
async fn write(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> usize {
    let mut slices = vec![IoSlice::new(&[]); SLICES];
    slices.extend(bytes.chunks(BYTES).take(SLICES).map(IoSlice::new));
    writer
        .write_vectored(&slices)
        .await
        .expect("the peer reads")
}

async fn read(reader: &mut (impl AsyncRead + Unpin), got: &mut Vec<u8>) -> usize {
    let mut buf = vec![0; SLICES * BYTES];
    let mut empty = [[0; 0]; SLICES];
    let empty = empty.iter_mut().map(|buf| IoSliceMut::new(buf));
    let slices = buf.chunks_mut(BYTES).map(IoSliceMut::new);
    let mut slices: Vec<_> = empty.chain(slices).collect();
    let n = reader
        .read_vectored(&mut slices)
        .await
        .expect("the peer writes");
    got.extend_from_slice(&buf[..n]);
    n
}
