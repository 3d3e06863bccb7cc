//! Writes until the kernel accepts no more, and compares received with written bytes.

use std::fs;
use std::sync::LazyLock;

use futures_lite::future::{poll_once, yield_now};
use futures_lite::{AsyncWrite, AsyncWriteExt};
use halves::{Peer, Writer};

/// Bytes in one write. A client of a Unix socket that reads this many has made progress that the
/// kernel shows.
pub(crate) const PIECE: usize = 5000;
/// A state in `/proc/net/tcp`: everything sent is acknowledged, and the peer was asked for room
/// several times.
const PROBING_STATE: &str = "04:";

/// A prime: the length of a gap or a repetition is no multiple of it.
const PERIOD: usize = 65_521;

/// Everything written is a repetition of this.
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
pub(crate) fn assert_bytes(from: usize, received: &[u8]) {
    assert!(
        received == bytes(from, received.len()),
        "of {}",
        received.len()
    );
}

/// Writes small pieces, one in each turn, until the kernel accepts none, and one piece more.
/// Returns the number of bytes. At least one piece is in the buffer of the writer then.
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

/// Writes one piece that is gathered, and not sent at once.
async fn put<W: AsyncWrite + Unpin>(writer: &mut Writer<W>, written: usize) -> usize {
    // The first write of a turn is not gathered.
    let _ = poll_once(writer.write(&[])).await;
    let piece = bytes(written, PIECE);
    writer.write_all(&piece).await.expect("the client is there");
    piece.len()
}

/// True if the kernel accepts more only after the client has read.
fn is_stuck(peer: &Peer) -> bool {
    let (near, far) = (peer.local().socket_addr(), peer.endpoint().socket_addr());
    let (Some(near), Some(far)) = (near, far) else {
        // A Unix socket that is full stays full.
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
    timer.starts_with(PROBING_STATE)
}
