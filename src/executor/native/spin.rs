//! Whether a thread stays awake for a while before it sleeps.

use std::time::Duration;

/// Spins that may find nothing, more than others find something, before the next has a price.
const FREE: u32 = 2;
/// More of them do not count: the price goes up to 1,024.
const MOST: u32 = FREE + 11;

/// Spins only as long as it pays. A spin that finds nothing makes the next ones dearer, one that
/// finds something makes them cheaper; the price is paid in sleeps that were so short that a spin
/// might have spared them. So there are no spins where nothing happens, and few where it is our
/// spinning that keeps a client from its CPU.
#[derive(Debug)]
pub(super) struct Spin {
    longest: Duration,
    /// Spins that found nothing, less those that found something since.
    missed: u32,
    /// Short sleeps until the next spin.
    price: u32,
}

impl Spin {
    /// None: it is off.
    pub(super) fn new(longest: Duration) -> Option<Self> {
        let spin = Self {
            longest,
            missed: 0,
            price: 0,
        };
        (!longest.is_zero()).then_some(spin)
    }

    /// How long to spin before this sleep. None: not at all.
    pub(super) fn next(&self) -> Option<Duration> {
        (self.price == 0).then_some(self.longest)
    }

    /// A spin has ended: it found something to do, or it did not.
    pub(super) fn spun(&mut self, found: bool) {
        self.missed = if found {
            self.missed.saturating_sub(1)
        } else {
            MOST.min(self.missed + 1)
        };
        self.price = match self.missed.checked_sub(FREE) {
            None | Some(0) => 0,
            Some(more) => 1 << (more - 1),
        };
    }

    /// The thread has slept, for so long, without a spin before.
    pub(super) fn slept(&mut self, time: Duration) {
        if time <= self.longest {
            self.price = self.price.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_micros(50);
    const LONGER: Duration = Duration::from_nanos(50_001);

    fn spin() -> Spin {
        Spin::new(LONGEST).expect("it is on")
    }

    /// Sleeps until it spins again, and how many those were.
    fn price(spin: &mut Spin) -> u32 {
        let mut sleeps = 0;
        while spin.next().is_none() {
            spin.slept(LONGEST);
            sleeps += 1;
        }
        sleeps
    }

    #[test]
    fn none_is_none() {
        assert!(Spin::new(Duration::ZERO).is_none());
        assert!(Spin::new(Duration::from_nanos(1)).is_some());
    }

    #[test]
    fn what_pays_goes_on() {
        let mut spin = spin();
        for n in 0..1000 {
            assert_eq!(spin.next(), Some(LONGEST));
            spin.spun(n % 2 == 0);
        }
    }

    #[test]
    fn nothing_is_spun_where_nothing_happens() {
        let mut spin = spin();
        let mut spins = 0;
        for _ in 0..100_000 {
            match spin.next() {
                Some(_) => {
                    spin.spun(false);
                    spins += 1;
                }
                None => spin.slept(LONGER),
            }
        }
        assert_eq!(spins, FREE + 1);
    }

    #[test]
    fn a_spin_that_never_pays_becomes_rare_and_no_rarer() {
        let mut spin = spin();
        let mut prices = Vec::new();
        for _ in 0..15 {
            spin.spun(false);
            prices.push(price(&mut spin));
        }
        let doubled = [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
        assert_eq!(prices[..13], doubled);
        assert_eq!(prices[13..], [1024, 1024]);
    }

    #[test]
    fn it_comes_back_when_it_pays_again() {
        let mut spin = spin();
        for _ in 0..100 {
            spin.spun(false);
        }
        for expected in [1024, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1, 0, 0] {
            assert_eq!(price(&mut spin), expected);
            spin.spun(true);
        }
        assert_eq!((spin.missed, spin.price), (0, 0));
    }

    #[test]
    fn only_sleeps_that_a_spin_might_have_spared_count() {
        let mut spin = spin();
        for _ in 0..=FREE {
            spin.spun(false);
        }
        for _ in 0..10 {
            spin.slept(LONGER);
            assert_eq!(spin.next(), None);
        }
        spin.slept(LONGEST);
        assert_eq!(spin.next(), Some(LONGEST));
    }
}
