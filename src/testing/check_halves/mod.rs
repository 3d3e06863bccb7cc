//! `check_halves`: checks any pair of halves that a user writes.

mod steps;
mod vectored;

use std::io;
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncWrite};

use crate::connection::Connection;
use crate::time::Clock;
use steps::{a_close_is_seen, a_write_to_a_gone_peer_is_an_error, check_bytes, check_half_close};

/// More bytes than the kernel buffers for any kind of stream.
const LARGE_TRANSFER_BYTES: usize = 1_500_000;

/// The longest check.
const TIMEOUT: Duration = Duration::from_mins(2);

/// Checks the two ends of a stream: `connect` makes a new pair for each check.
///
/// Bytes keep their order and are complete, both ways at once, in pieces of 1 byte to 64 KiB. A
/// half-close is seen, and the answer still comes. Writes fail after a close, and to a peer that is
/// gone. A read that is dropped loses nothing, a read into no room does not wait, and calls with
/// several slices move the same bytes. [`HalvesCheck`] has settings for streams that cannot do all of
/// this.
///
/// # Panics
///
/// If a check fails or takes more than two minutes, or if `connect` fails.
///
/// # Examples
///
/// ```
/// use halves::listener::memory;
/// use halves::testing::check_halves;
///
/// smol::block_on(check_halves(async || Ok(memory::pair(100_000))));
/// ```
pub async fn check_halves<R1, W1, R2, W2>(
    connect: impl AsyncFn() -> io::Result<(Connection<R1, W1>, Connection<R2, W2>)>,
) where
    R1: AsyncRead + Unpin,
    W1: AsyncWrite + Unpin,
    R2: AsyncRead + Unpin,
    W2: AsyncWrite + Unpin,
{
    HalvesCheck::default().check(connect).await;
}

/// The settings of [`check_halves`].
///
/// # Examples
///
/// ```
/// use halves::listener::memory;
/// use halves::testing::HalvesCheck;
///
/// let check = HalvesCheck::default().bytes(10_000);
/// smol::block_on(check.check(async || Ok(memory::pair(10))));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HalvesCheck {
    bytes: usize,
    ends: Ends,
}

/// The ends that a stream has.
///
/// # Examples
///
/// ```
/// use halves::testing::{Ends, HalvesCheck};
///
/// let check = HalvesCheck::default().ends(Ends::Both);
/// # let _ = check;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ends {
    /// Each direction ends alone, and a drop of both halves ends both.
    Each,
    /// Each direction ends alone. A drop is not an end in order, as of a layer such as TLS.
    EachByClose,
    /// Only a drop of both halves is seen by the peer.
    Both,
    /// None is seen: the stream outlasts its users.
    Neither,
}

impl Default for HalvesCheck {
    fn default() -> Self {
        Self {
            bytes: LARGE_TRANSFER_BYTES,
            ends: Ends::Each,
        }
    }
}

impl HalvesCheck {
    /// Sets the bytes of the checks that need much data: 1.5 MB by default, more than the kernel
    /// buffers for any stream. Fewer for streams with small buffers, which are slower.
    ///
    /// # Examples
    ///
    /// ```
    /// let check = halves::testing::HalvesCheck::default().bytes(100_000);
    /// # let _ = check;
    /// ```
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Sets the ends that the stream has: [`Ends::Each`] by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::testing::{Ends, HalvesCheck};
    ///
    /// let check = HalvesCheck::default().ends(Ends::Neither);
    /// # let _ = check;
    /// ```
    #[must_use]
    pub fn ends(mut self, ends: Ends) -> Self {
        self.ends = ends;
        self
    }

    /// Checks the two ends of a stream, as [`check_halves`] does.
    ///
    /// # Panics
    ///
    /// As [`check_halves`].
    ///
    /// # Examples
    ///
    /// See [`HalvesCheck`].
    pub async fn check<R1, W1, R2, W2>(
        self,
        connect: impl AsyncFn() -> io::Result<(Connection<R1, W1>, Connection<R2, W2>)>,
    ) where
        R1: AsyncRead + Unpin,
        W1: AsyncWrite + Unpin,
        R2: AsyncRead + Unpin,
        W2: AsyncWrite + Unpin,
    {
        let connect = async || connect().await.expect("both ends connect");
        let checks = async {
            // First, as missing bytes are seen at an end, and waited for without one.
            if matches!(self.ends, Ends::Each | Ends::EachByClose) {
                check_half_close(self.bytes, &connect).await;
            }
            check_bytes(self.bytes, &connect).await;
            if matches!(self.ends, Ends::Each | Ends::Both) {
                let (near, far) = connect().await;
                a_close_is_seen(near, far).await;
            }
            if self.ends != Ends::Neither {
                let (near, far) = connect().await;
                a_write_to_a_gone_peer_is_an_error(near, far).await;
            }
        };
        let ended = Clock::default().timeout(TIMEOUT, checks).await;
        assert!(
            ended.is_ok(),
            "no end after {TIMEOUT:?}: bytes, an end or a wake-up are missing"
        );
    }
}
