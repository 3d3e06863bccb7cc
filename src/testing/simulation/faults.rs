//! `Faults`: the conditions of the simulated network.

use std::ops::Range;
use std::time::Duration;

/// The conditions of the simulated network: how bytes arrive, and what fails.
///
/// The default splits and delays bytes, and some directions stall, but nothing is lost. With
/// [`all`](Self::all), connections are also refused, reset, ended in the middle, and left half open,
/// and accepts fail.
///
/// A share is a number from 0 to 1: that of the connections, or of their directions, with such a
/// fault. The number of the connection and the seed decide which ones, and not the order of the tasks.
///
/// # Examples
///
/// ```
/// use halves::testing::Faults;
/// use std::time::Duration;
///
/// let slow = Faults::none().latency(Duration::from_millis(10)..Duration::from_millis(300));
/// let hostile = Faults::default().resets(0.2).refusals(0.1);
/// # let _ = (slow, hostile);
/// ```
#[derive(Clone, Debug)]
pub struct Faults {
    pub(super) max_piece: usize,
    pub(super) buffer: usize,
    pub(super) latency: Range<Duration>,
    pub(super) bandwidth: Option<u64>,
    pub(super) pauses: f64,
    pub(super) stalls: f64,
    pub(super) max_stall: Duration,
    pub(super) resets: f64,
    pub(super) ends: f64,
    pub(super) vanishings: f64,
    pub(super) refusals: f64,
    pub(super) accept_errors: f64,
    pub(super) offsets: Range<u64>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            max_piece: 4096,
            latency: Duration::ZERO..Duration::from_millis(50),
            pauses: 0.05,
            stalls: 0.1,
            ..Self::none()
        }
    }
}

/// A setter of a share.
macro_rules! share {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// # Panics
        ///
        /// If the share is not a number from 0 to 1.
        #[must_use]
        pub fn $name(mut self, share: f64) -> Self {
            assert!((0.0..=1.0).contains(&share), "{share} is not a share from 0 to 1");
            self.$name = share;
            self
        }
    };
}

impl Faults {
    /// Returns a network that delivers all bytes at once, in buffers of 64 KiB.
    ///
    /// # Examples
    ///
    /// ```
    /// let faults = halves::testing::Faults::none();
    /// # let _ = faults;
    /// ```
    #[must_use]
    pub fn none() -> Self {
        Self {
            max_piece: usize::MAX,
            buffer: 64 * 1024,
            latency: Duration::ZERO..Duration::ZERO,
            bandwidth: None,
            pauses: 0.0,
            stalls: 0.0,
            max_stall: Duration::from_secs(1),
            resets: 0.0,
            ends: 0.0,
            vanishings: 0.0,
            refusals: 0.0,
            accept_errors: 0.0,
            offsets: 0..4096,
        }
    }

    /// Returns the default, and each fault that loses bytes or connections for a tenth of them.
    ///
    /// # Examples
    ///
    /// ```
    /// let faults = halves::testing::Faults::all();
    /// # let _ = faults;
    /// ```
    #[must_use]
    pub fn all() -> Self {
        Self::default()
            .resets(0.1)
            .ends(0.1)
            .vanishings(0.1)
            .refusals(0.1)
            .accept_errors(0.1)
    }

    /// Sets the most bytes that one read or write moves. Small pieces are as frequent as large ones.
    /// At least 1.
    ///
    /// # Examples
    ///
    /// ```
    /// let one_by_one = halves::testing::Faults::none().max_piece(1);
    /// # let _ = one_by_one;
    /// ```
    #[must_use]
    pub fn max_piece(mut self, bytes: usize) -> Self {
        self.max_piece = bytes.max(1);
        self
    }

    /// Sets the bytes that one direction holds, from the write to the read: 64 KiB by default. At
    /// least 1.
    ///
    /// # Examples
    ///
    /// ```
    /// let lockstep = halves::testing::Faults::default().buffer(1);
    /// # let _ = lockstep;
    /// ```
    #[must_use]
    pub fn buffer(mut self, bytes: usize) -> Self {
        self.buffer = bytes.max(1);
        self
    }

    /// Sets the shortest time from a write to the read, and a bound of the longest. Bytes keep their
    /// order.
    ///
    /// One of ten times in this range is chosen, so that bytes of different clients often arrive at the
    /// same time. Their tasks then run in the order of the seed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let far = halves::testing::Faults::none().latency(Duration::from_millis(80)..Duration::from_millis(90));
    /// # let _ = far;
    /// ```
    #[must_use]
    pub fn latency(mut self, range: Range<Duration>) -> Self {
        self.latency = range;
        self
    }

    /// Sets the bytes a second that a direction carries. They arrive at whole milliseconds. Without,
    /// there is no bound.
    ///
    /// # Examples
    ///
    /// ```
    /// let modem = halves::testing::Faults::none().bandwidth(7000);
    /// # let _ = modem;
    /// ```
    #[must_use]
    pub fn bandwidth(mut self, bytes_per_second: u64) -> Self {
        self.bandwidth = Some(bytes_per_second.max(1));
        self
    }

    share! {
        /// Sets the share of reads and writes that wait although they need not.
        ///
        /// # Examples
        ///
        /// ```
        /// let faults = halves::testing::Faults::none().pauses(0.5);
        /// # let _ = faults;
        /// ```
        pauses
    }

    share! {
        /// Sets the share of directions that stall once, for up to [`max_stall`](Self::max_stall).
        ///
        /// # Examples
        ///
        /// ```
        /// let faults = halves::testing::Faults::none().stalls(0.5);
        /// # let _ = faults;
        /// ```
        stalls
    }

    /// Sets the longest stall: a second by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let faults = halves::testing::Faults::default().max_stall(Duration::from_secs(60));
    /// # let _ = faults;
    /// ```
    #[must_use]
    pub fn max_stall(mut self, time: Duration) -> Self {
        self.max_stall = time;
        self
    }

    share! {
        /// Sets the share of directions in which the connection is reset.
        ///
        /// # Examples
        ///
        /// ```
        /// let faults = halves::testing::Faults::none().resets(0.5);
        /// # let _ = faults;
        /// ```
        resets
    }

    share! {
        /// Sets the share of directions that end in the middle. Writes behind the end are refused.
        ///
        /// # Examples
        ///
        /// ```
        /// let faults = halves::testing::Faults::none().ends(0.5);
        /// # let _ = faults;
        /// ```
        ends
    }

    share! {
        /// Sets the share of directions that become half open: bytes are lost from some moment on, and
        /// no end and no reset arrives.
        ///
        /// # Examples
        ///
        /// ```
        /// let faults = halves::testing::Faults::none().vanishings(0.5);
        /// # let _ = faults;
        /// ```
        vanishings
    }

    share! {
        /// Sets the share of connections that are refused.
        ///
        /// # Examples
        ///
        /// ```
        /// let faults = halves::testing::Faults::none().refusals(0.5);
        /// # let _ = faults;
        /// ```
        refusals
    }

    share! {
        /// Sets the share of accepts that fail first: with EMFILE, ENFILE, ENOBUFS or ENOMEM, for which
        /// a server backs off, or with ECONNABORTED, EPROTO or EINTR. The next accept succeeds.
        ///
        /// # Examples
        ///
        /// ```
        /// let faults = halves::testing::Faults::none().accept_errors(0.5);
        /// # let _ = faults;
        /// ```
        accept_errors
    }

    /// Sets the bytes of a direction behind which its faults happen: up to 4,096 by default.
    ///
    /// # Examples
    ///
    /// ```
    /// let at_the_begin = halves::testing::Faults::all().offsets(0..10);
    /// # let _ = at_the_begin;
    /// ```
    #[must_use]
    pub fn offsets(mut self, bytes: Range<u64>) -> Self {
        self.offsets = bytes.start..bytes.end.max(bytes.start + 1);
        self
    }
}
