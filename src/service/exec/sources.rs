//! The number of children for each source address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The open connections of each address.
#[derive(Clone, Default)]
pub(super) struct Sources(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection in the count of its address, until it is dropped.
pub(super) struct Counted {
    sources: Sources,
    address: IpAddr,
}

impl Sources {
    /// Counts a connection. Also returns the count.
    pub(super) fn count(&self, address: IpAddr) -> (Counted, usize) {
        let mut counts = self.counts();
        let count = counts.entry(address).or_default();
        *count += 1;
        let counted = Counted {
            sources: self.clone(),
            address,
        };
        (counted, *count)
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.sources.counts();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_connections_is_forgotten() {
        let sources = Sources::default();
        let [one, other] = ["192.0.2.1", "::1"].map(|ip| ip.parse().expect("an address"));
        let (first, 1) = sources.count(one) else {
            panic!("the first");
        };
        let (second, 2) = sources.count(one) else {
            panic!("the second");
        };
        assert_eq!(sources.count(other).1, 1);
        drop(first);
        assert_eq!(sources.count(one).1, 2);
        drop(second);
        assert!(sources.counts().is_empty());
    }
}
