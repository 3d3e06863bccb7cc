//! Histograms of connections that ended, with fixed buckets.

use std::time::Duration;

/// The number of bounds of a [`Histogram`].
const BOUNDS: usize = 14;
/// The first bound of ages, in milliseconds.
const MIN_AGE_MILLIS: u64 = 1;
/// The first bound of byte counts.
const MIN_BYTES: u64 = 64;

/// A histogram of connections that ended, by their ages ([`Duration`]) or their bytes (`u64`).
///
/// It has 14 bounds, each four times the one before: 1 ms to 18.6 hours for ages, 64 bytes to 4 GiB
/// for bytes. A connection counts from the first bound on that is at least its value. One above the
/// last bound counts only in [`total`](Self::total).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let age = halves::Server::default().handle().histograms().age;
/// let bounds: Vec<Duration> = age.cumulative().map(|(bound, _)| bound).collect();
/// assert_eq!(bounds[..3], [1, 4, 16].map(Duration::from_millis));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram<T> {
    bounds: [T; BOUNDS],
    /// By bucket. The last one has the values above all bounds.
    counts: [u64; BOUNDS + 1],
    sum: T,
}

/// The histograms of a server. Each connection that was admitted counts once, at its end.
///
/// # Examples
///
/// ```
/// let histograms = halves::Server::default().handle().histograms();
/// for (bound, connections) in histograms.bytes_in.cumulative() {
///     println!("{connections} connections received at most {bound} bytes");
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Histograms {
    /// The time for which each connection was open.
    pub age: Histogram<Duration>,
    /// The bytes that each connection received.
    pub bytes_in: Histogram<u64>,
    /// The bytes that each connection sent.
    pub bytes_out: Histogram<u64>,
}

impl Default for Histograms {
    fn default() -> Self {
        let bytes = Histogram::new(bounds(MIN_BYTES), 0);
        let ages = bounds(MIN_AGE_MILLIS).map(Duration::from_millis);
        Self {
            age: Histogram::new(ages, Duration::ZERO),
            bytes_in: bytes,
            bytes_out: bytes,
        }
    }
}

impl Histograms {
    /// Counts a connection that has ended.
    pub(crate) fn count(&mut self, age: Duration, bytes_in: u64, bytes_out: u64) {
        self.age.count(age, Duration::saturating_add);
        self.bytes_in.count(bytes_in, u64::saturating_add);
        self.bytes_out.count(bytes_out, u64::saturating_add);
    }
}

impl<T: Copy + PartialOrd> Histogram<T> {
    fn new(bounds: [T; BOUNDS], zero: T) -> Self {
        Self {
            bounds,
            counts: [0; BOUNDS + 1],
            sum: zero,
        }
    }

    fn count(&mut self, value: T, add: fn(T, T) -> T) {
        let bucket = self.bounds.iter().position(|&bound| value <= bound);
        self.counts[bucket.unwrap_or(BOUNDS)] += 1;
        self.sum = add(self.sum, value);
    }

    /// Returns each bound, and the number of connections with a value of at most the bound.
    ///
    /// # Examples
    ///
    /// ```
    /// let age = halves::Server::default().handle().histograms().age;
    /// assert!(age.cumulative().all(|(_, connections)| connections == 0));
    /// ```
    pub fn cumulative(&self) -> impl Iterator<Item = (T, u64)> {
        let counts = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        self.bounds.iter().copied().zip(counts)
    }

    /// Returns the number of connections of any value.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Server::default().handle().histograms().age.total(), 0);
    /// ```
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the sum of all values.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Server::default().handle().histograms().bytes_in.sum(), 0);
    /// ```
    #[must_use]
    pub fn sum(&self) -> T {
        self.sum
    }
}

/// Returns bounds from `first` on, each four times the one before.
fn bounds(first: u64) -> [u64; BOUNDS] {
    let mut bound = first;
    [(); BOUNDS].map(|()| {
        let this = bound;
        bound *= 4;
        this
    })
}
