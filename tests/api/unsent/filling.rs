//! Writing until the kernel takes no more, and telling whether what arrives is what was written.

use std::fs;
use std::sync::LazyLock;

use futures_lite::future::{poll_once, yield_now};
use futures_lite::{AsyncWrite, AsyncWriteExt};
use halves::{Peer, Writer};

/// How much is written at a time. On a Unix socket, a client that has taken that much of what
/// waits there has taken something, as the kernel counts.
pub(crate) const PIECE: usize = 5000;
/// In `/proc/net/tcp`: all that was sent is acknowledged, and the peer asked for room again and again.
const PROBING: &str = "04:";

/// A prime: what is missing, or comes twice, is no multiple of it.
const PERIOD: usize = 65_521;

/// All that is written is this, again and again.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let byte = |at: usize| (at.wrapping_mul(0x9E37_79B9) >> 7).to_le_bytes()[0];
    (0..PERIOD).map(byte).collect()
});

pub(crate) fn bytes(from: usize, n: usize) -> Vec<u8> {
    let from = from % PERIOD;
    let mut bytes = PATTERN.repeat((from + n).div_ceil(PERIOD));
    bytes.truncate(from + n);
    bytes.split_off(from)
}

#[track_caller]
pub(crate) fn assert_bytes(from: usize, heard: &[u8]) {
    assert!(heard == bytes(from, heard.len()), "of {}", heard.len());
}

/// Writes small pieces, one a turn, until the kernel takes none, and one more. Says how much.
/// What is left then, one piece at least, has been taken by us.
pub(crate) async fn stuff<W: AsyncWrite + Unpin>(writer: &mut Writer<W>) -> usize {
    let mut written = 0;
    loop {
        if let Some(flushed) = poll_once(writer.flush()).await {
            flushed.expect("the client is there");
        } else if is_stuck(&writer.peer()) {
            return written + put(writer, written).await;
        } else {
            yield_now().await;
            continue;
        }
        written += put(writer, written).await;
        yield_now().await;
    }
}

/// Writes one piece that is gathered, not sent at once.
async fn put<W: AsyncWrite + Unpin>(writer: &mut Writer<W>, written: usize) -> usize {
    // The first write of a turn is not gathered.
    let _ = poll_once(writer.write(&[])).await;
    let piece = bytes(written, PIECE);
    writer.write_all(&piece).await.expect("the client is there");
    piece.len()
}

/// Whether the kernel takes more only when the client has read.
fn is_stuck(peer: &Peer) -> bool {
    let (near, far) = (peer.local().socket_addr(), peer.endpoint().socket_addr());
    let (Some(near), Some(far)) = (near, far) else {
        // What does not fit into a Unix socket never does.
        return true;
    };
    let ports = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let mut port = || u16::from_str_radix(fields.next()?.rsplit(':').next()?, 16).ok();
        Some((port()?, port()?))
    };
    let sockets = fs::read_to_string("/proc/net/tcp").expect("it is there");
    let ours = |line: &&str| ports(line) == Some((near.port(), far.port()));
    let ours = sockets.lines().find(ours).expect("it is listed");
    let timer = ours.split_whitespace().nth(5).expect("the timer");
    timer.starts_with(PROBING)
}
