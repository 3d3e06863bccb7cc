//! Both directions of a connection at once: bytes that are sent in random pieces, and bytes that are
//! received.

use std::io;
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future};
use halves::Connection;
use halves::testing::Sim;

/// The most bytes that one read takes.
const MAX_READ_BYTES: u64 = 3000;
/// The longest pause between two calls.
const MAX_PAUSE: Duration = Duration::from_millis(300);

/// One end of a connection, after its two directions.
#[derive(Debug)]
pub(crate) struct Exchanged {
    pub(crate) sent: Vec<u8>,
    /// The number of bytes that the writer has accepted.
    pub(crate) accepted: usize,
    /// The result of the last write, or of the close.
    pub(crate) written: io::Result<()>,
    pub(crate) received: Vec<u8>,
    /// The result of the last read. `Ok` is the end of input.
    pub(crate) read: io::Result<()>,
}

/// Sends bytes and the end, and reads up to the end, at the same time. Pieces, buffers and pauses
/// are random.
pub(crate) async fn exchange<R, W>(
    sim: &Sim,
    connection: &mut Connection<R, W>,
    sent: Vec<u8>,
) -> Exchanged
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (mut accepted, mut received) = (0, Vec::new());
    let Connection { reader, writer, .. } = connection;
    let write = write(sim, writer, &sent, &mut accepted);
    let read = read(sim, reader, &mut received);
    let (written, read) = future::zip(write, read).await;
    Exchanged {
        sent,
        accepted,
        written,
        received,
        read,
    }
}

/// Writes bytes in random pieces, and closes.
pub(crate) async fn write(
    sim: &Sim,
    writer: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    accepted: &mut usize,
) -> io::Result<()> {
    while *accepted < bytes.len() {
        let rest = &bytes[*accepted..];
        let piece = size(sim, rest.len() as u64 + 1);
        *accepted += writer.write(&rest[..piece]).await?;
        if sim.random(0..8) == 0 {
            writer.flush().await?;
            pause(sim).await;
        }
    }
    writer.close().await
}

/// Reads up to the end, in random pieces.
pub(crate) async fn read(
    sim: &Sim,
    reader: &mut (impl AsyncRead + Unpin),
    received: &mut Vec<u8>,
) -> io::Result<()> {
    loop {
        let mut buf = vec![0; size(sim, MAX_READ_BYTES)];
        match reader.read(&mut buf).await? {
            0 => return Ok(()),
            n => received.extend_from_slice(&buf[..n]),
        }
        if sim.random(0..8) == 0 {
            pause(sim).await;
        }
    }
}

impl Exchanged {
    /// Returns true if both directions have ended in order.
    pub(crate) fn is_whole(&self) -> bool {
        self.written.is_ok() && self.read.is_ok()
    }

    /// Returns true if both directions have ended in order, and all bytes of `from` arrived: an end in
    /// order may be a fault.
    pub(crate) fn has_all_of(&self, from: &Self) -> bool {
        self.is_whole() && self.received == from.sent
    }

    /// Checks that the bytes of `from` arrived in order, and all of them if an end arrived. `from` is
    /// None if the other end was cut off.
    pub(crate) fn check_from(&self, from: Option<&Self>) {
        let Some(from) = from else { return };
        self.check_prefix(from);
        if self.read.is_ok() {
            assert!(
                from.written.is_ok() && self.received == from.sent,
                "an end after {} of {} bytes: {:?}",
                self.received.len(),
                from.sent.len(),
                from.written
            );
        }
    }

    /// Checks that the bytes of `from` arrived in order.
    pub(crate) fn check_prefix(&self, from: &Self) {
        let accepted = &from.sent[..from.accepted];
        assert!(accepted.starts_with(&self.received), "other bytes arrived");
    }
}

/// Random bytes, up to `most`.
pub(crate) fn bytes(sim: &Sim, most: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(sim.random(0..u64::MAX));
    let length = size(sim, most + 1) - 1;
    (0..length).map(|_| random.u8(..)).collect()
}

/// A random size below `end`, at least 1. Small ones are as frequent as large ones.
fn size(sim: &Sim, end: u64) -> usize {
    let bits = sim.random(0..u64::from(end.max(2).ilog2()) + 1);
    let size = sim.random(1..(2 << bits)).min(end.max(2) - 1);
    usize::try_from(size).expect("it is small")
}

async fn pause(sim: &Sim) {
    let most = u64::try_from(MAX_PAUSE.as_micros()).expect("it is short");
    let pause = Duration::from_micros(sim.random(0..most));
    sim.clock().sleep(pause).await;
}
