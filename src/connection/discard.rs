//! Reads and throws away what a peer still sends, within bounds.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

/// The most that one connection's end discards, in bytes.
pub(super) const MOST: usize = 1024 * 1024;
/// What one poll discards before it lets others run, in bytes.
const PER_POLL: usize = 64 * 1024;

/// How much a lingering close has discarded.
///
/// A socket that is closed with unread input is reset, and the reset overtakes answers that the
/// peer has not read yet. So input is read until the peer ends too, but not for ever.
#[derive(Debug, Default)]
pub(crate) struct Discard(AtomicUsize);

impl Discard {
    /// Ready at the peer's end of input, at an error, and when the bound is reached.
    pub(crate) fn poll(
        &self,
        cx: &mut Context<'_>,
        mut poll_read: impl FnMut(&mut Context<'_>, &mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<()> {
        let mut buf = [0; 4096];
        let mut now = 0;
        while now < PER_POLL {
            match ready!(poll_read(cx, &mut buf)) {
                Ok(0) => return Poll::Ready(()),
                Ok(n) if self.0.fetch_add(n, Ordering::Relaxed) + n >= MOST => {
                    return Poll::Ready(());
                }
                Ok(n) => now += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
