//! The handlers of a schedule.

use std::future::pending;
use std::io;
use std::panic::resume_unwind;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::Connection;
use halves::service::{discard, echo};
use halves::testing::{SimReader, SimWriter};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Echo,
    /// A handshake of [`HANDSHAKE_BYTES`] bytes, then an echo.
    Shake,
    /// Reads, and writes nothing.
    Collect,
    /// Neither reads nor writes.
    Stall,
    /// Writes as long as it can.
    Flood,
    Return,
    /// Fails at the first byte, as `Panic` does.
    Error,
    Panic,
}

/// The length of a handshake in bytes.
pub(crate) const HANDSHAKE_BYTES: usize = 2;

impl Behaviour {
    /// The behaviour of the connection with this id, in the schedule of this seed.
    pub(crate) fn of(seed: u64, id: u64) -> Self {
        const ALL: [Behaviour; 11] = [
            Behaviour::Echo,
            Behaviour::Echo,
            Behaviour::Echo,
            Behaviour::Shake,
            Behaviour::Shake,
            Behaviour::Collect,
            Behaviour::Stall,
            Behaviour::Flood,
            Behaviour::Return,
            Behaviour::Error,
            Behaviour::Panic,
        ];
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(1000).wrapping_add(id));
        ALL[random.usize(..ALL.len())]
    }
}

pub(crate) async fn handle(seed: u64, mut c: Connection<SimReader, SimWriter>) -> io::Result<()> {
    let mut byte = [0];
    match Behaviour::of(seed, c.peer.id()) {
        Behaviour::Echo => echo(c.reader, c.writer).await,
        Behaviour::Shake => {
            let handshake = c.peer.handshake();
            c.reader.read_exact(&mut [0; HANDSHAKE_BYTES]).await?;
            drop(handshake);
            echo(c.reader, c.writer).await
        }
        Behaviour::Collect => discard(c.reader, c.writer).await,
        Behaviour::Stall => pending().await,
        Behaviour::Flood => loop {
            c.writer.write_all(&[b'f'; 10]).await?;
        },
        Behaviour::Return => Ok(()),
        Behaviour::Error => {
            c.reader.read_exact(&mut byte).await?;
            Err(io::Error::other("as ordered"))
        }
        Behaviour::Panic => {
            c.reader.read_exact(&mut byte).await?;
            // As `panic!`, without its message on standard error.
            resume_unwind(Box::new("as ordered"))
        }
    }
}
