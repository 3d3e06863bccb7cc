//! Whether a worker gives up its CPU once before it waits for the reactor.

use std::time::Duration;

/// Yields that may find nothing, more than others find something, before the next has a price.
const FREE: u32 = 2;
/// More of them do not count: the price goes up to 1,024.
const MAX_MISSED: u32 = FREE + 11;
/// A yield that takes longer has lost its CPU to a thread that uses it.
const LONG: Duration = Duration::from_micros(100);

/// Yields only as long as that pays. A client that shares the CPU sends its next request meanwhile,
/// which spares a sleep and a wake-up. A yield that finds nothing, or takes long, makes the next ones
/// dearer; the price is paid in waits that were so short that a yield might have spared them.
#[derive(Debug, Default)]
pub(super) struct Yielding {
    /// Yields that did not pay, less those that did since.
    missed: u32,
    /// Short waits until the next yield.
    price: u32,
}

impl Yielding {
    /// Whether to yield before this wait.
    pub(super) fn is_due(&self) -> bool {
        self.price == 0
    }

    /// A yield took so long, and there was work after it, or not.
    pub(super) fn yielded(&mut self, time: Duration, found: bool) {
        self.missed = if found && time <= LONG {
            self.missed.saturating_sub(1)
        } else {
            MAX_MISSED.min(self.missed + 1)
        };
        self.price = match self.missed.checked_sub(FREE) {
            None | Some(0) => 0,
            Some(more) => 1 << (more - 1),
        };
    }

    /// The worker has waited so long, without a yield before.
    pub(super) fn waited(&mut self, time: Duration) {
        if time <= LONG {
            self.price = self.price.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(1);

    /// The short waits until the next yield.
    fn price(yielding: &mut Yielding) -> u32 {
        let mut waits = 0;
        while !yielding.is_due() {
            yielding.waited(LONG);
            waits += 1;
        }
        waits
    }

    #[test]
    fn a_yield_that_pays_stays_free() {
        let mut yielding = Yielding::default();
        for n in 0..1000 {
            assert!(yielding.is_due(), "{n}");
            yielding.yielded(LONG, true);
        }
    }

    #[test]
    fn a_yield_that_finds_nothing_makes_the_next_dearer_up_to_a_bound() {
        let mut yielding = Yielding::default();
        let prices = (0..15).map(|_| {
            yielding.yielded(SHORT, false);
            price(&mut yielding)
        });
        let doubled = (0..11).map(|n| 1 << n).chain([1024, 1024]);
        assert_eq!(
            prices.collect::<Vec<_>>(),
            [0, 0].into_iter().chain(doubled).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_long_yield_counts_as_one_that_finds_nothing() {
        let mut yielding = Yielding::default();
        for _ in 0..=FREE {
            yielding.yielded(LONG + Duration::from_nanos(1), true);
        }
        assert!(!yielding.is_due());
        yielding.waited(LONG + Duration::from_nanos(1));
        assert!(!yielding.is_due(), "a long wait pays nothing");
        yielding.waited(LONG);
        assert!(yielding.is_due());
    }

    #[test]
    fn a_yield_that_pays_makes_the_next_cheaper() {
        let mut yielding = Yielding::default();
        for _ in 0..FREE + 3 {
            yielding.yielded(SHORT, false);
        }
        assert_eq!(price(&mut yielding), 4);
        yielding.yielded(SHORT, true);
        assert_eq!(price(&mut yielding), 2);
    }
}
