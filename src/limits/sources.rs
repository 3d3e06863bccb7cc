//! `Sources`: the limits per source, and the accounts that count against them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::reason::Reason;
use crate::time::Stamp;

/// The number of accounts up to which idle ones are not removed.
const MIN_SWEEP_ACCOUNTS: usize = 1024;
const SECOND: Duration = Duration::from_secs(1);

/// The limits for each source. A source is an address, or a network by the length of its prefix.
///
/// A connection beyond these limits is accepted, closed at once, and counted.
///
/// # Examples
///
/// ```
/// use halves::Server;
/// use halves::limits::Sources;
///
/// let sources = Sources::default().max_connections(40).accept_rate(10);
/// # let _ =
/// Server::default().sources(sources);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Sources {
    max_connections: Option<u32>,
    /// Per second.
    accept_rate: Option<u32>,
    /// In bits.
    v4_prefix: u8,
    /// In bits.
    v6_prefix: u8,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            max_connections: None,
            accept_rate: None,
            v4_prefix: 32,
            v6_prefix: 64,
        }
    }
}

impl Sources {
    /// Sets the maximum number of open connections of one source. 0, the default, is unlimited.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::limits::Sources::default().max_connections(40);
    /// ```
    pub fn max_connections(mut self, max: u32) -> Self {
        self.max_connections = Some(max).filter(|&max| max > 0);
        self
    }

    /// Sets the maximum number of new connections of one source per second. A source without a new
    /// connection in the last second may open all of them at once. 0, the default, is unlimited.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::limits::Sources::default().accept_rate(10);
    /// ```
    pub fn accept_rate(mut self, per_second: u32) -> Self {
        self.accept_rate = Some(per_second).filter(|&rate| rate > 0);
        self
    }

    /// Sets the length of the IPv4 prefix that identifies a source, in bits. The default and the
    /// maximum are 32.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::limits::Sources::default().v4_prefix(24);
    /// ```
    pub fn v4_prefix(mut self, bits: u8) -> Self {
        self.v4_prefix = bits.min(32);
        self
    }

    /// Sets the length of the IPv6 prefix that identifies a source, in bits. The maximum is 128.
    /// The default is 64, because one customer commonly has a network of that size (RFC 6177).
    /// Link-local addresses (RFC 4291, section 2.5.6) of different interfaces are always different
    /// sources.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::limits::Sources::default().v6_prefix(56);
    /// ```
    pub fn v6_prefix(mut self, bits: u8) -> Self {
        self.v6_prefix = bits.min(128);
        self
    }

    fn key(&self, address: SocketAddr) -> SourceKey {
        let network = match address.ip().to_canonical() {
            IpAddr::V4(v4) => {
                let bits = u32::from(self.v4_prefix);
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() & mask).into()
            }
            IpAddr::V6(v6) => {
                let bits = u32::from(self.v6_prefix);
                let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() & mask).into()
            }
        };
        SourceKey {
            network,
            scope: scope(address),
        }
    }
}

/// The key of an account.
#[derive(Debug, PartialEq, Eq, Hash)]
struct SourceKey {
    /// The first address of the network.
    network: IpAddr,
    /// The interface of a link-local address, which identifies the address on that interface only;
    /// or 0.
    scope: u32,
}

fn scope(address: SocketAddr) -> u32 {
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => v6.scope_id(),
        _ => 0,
    }
}

/// The open connections and the accept rate of every source.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    limits: Sources,
    usage: HashMap<SourceKey, Usage>,
    /// The number of accounts at which idle ones are removed.
    sweep_at: usize,
}

#[derive(Debug, Default)]
struct Usage {
    open: u32,
    /// The time at which the token bucket of the source is full again, as in the generic cell rate
    /// algorithm (ITU-T I.371).
    full_at: Stamp,
}

impl Accounts {
    /// Replaces the limits, and counts no connection as open. If a source is identified as before,
    /// its accept rate goes on.
    pub(crate) fn set_limits(&mut self, limits: Sources) {
        let prefixes = |limits: &Sources| (limits.v4_prefix, limits.v6_prefix);
        if prefixes(&self.limits) == prefixes(&limits) {
            self.usage.values_mut().for_each(|usage| usage.open = 0);
        } else {
            self.usage.clear();
        }
        self.limits = limits;
    }

    /// Counts a connection that is open already, whatever the limits are.
    pub(crate) fn reopen(&mut self, address: SocketAddr) {
        let source = self.limits.key(address);
        self.usage.entry(source).or_default().open += 1;
    }

    /// Returns true if there is a limit, so that connections must be counted.
    pub(crate) fn is_on(&self) -> bool {
        self.limits.max_connections.is_some() || self.limits.accept_rate.is_some()
    }

    /// Counts a new connection, or returns the reason of the limit that it exceeds.
    pub(crate) fn open(&mut self, address: SocketAddr, now: Stamp) -> Result<(), Reason> {
        self.sweep(now);
        let source = self.limits.key(address);
        let usage = self.usage.entry(source).or_default();
        // A refused connection changes neither count, so a source that waits is admitted again.
        if self
            .limits
            .max_connections
            .is_some_and(|max| usage.open >= max)
        {
            return Err(Reason::PerSource);
        }
        if let Some(rate) = self.limits.accept_rate {
            let interval = SECOND / rate;
            if usage.full_at.since(now) > SECOND - interval {
                return Err(Reason::AcceptRate);
            }
            usage.full_at = usage.full_at.max(now) + interval;
        }
        usage.open += 1;
        Ok(())
    }

    /// Gives back a connection that [`open`](Self::open) has counted.
    pub(crate) fn close(&mut self, address: SocketAddr, now: Stamp) {
        let source = self.limits.key(address);
        if let Entry::Occupied(mut entry) = self.usage.entry(source) {
            let usage = entry.get_mut();
            usage.open = usage.open.saturating_sub(1);
            if usage.open == 0 && usage.full_at <= now {
                entry.remove();
            }
        }
    }

    /// Removes accounts without open connections and with a full bucket. Amortized, each new
    /// account costs about one check, so the cost per connection does not grow with the number of
    /// accounts.
    fn sweep(&mut self, now: Stamp) {
        if self.usage.len() >= self.sweep_at {
            self.usage
                .retain(|_, usage| usage.open > 0 || usage.full_at > now);
            self.sweep_at = (2 * self.usage.len()).max(MIN_SWEEP_ACCOUNTS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Clock;

    #[test]
    fn a_link_local_address_is_a_different_source_on_each_interface() {
        let mut accounts = Accounts::default();
        accounts.set_limits(Sources::default().max_connections(1));
        let now = Clock::default().stamp();
        let mut open = |address: &str| {
            let address = address.parse().expect("an address");
            accounts.open(address, now).is_ok()
        };
        assert!(open("[fe80::1%1]:1"));
        assert!(!open("[fe80::2%1]:1"), "the same network of one interface");
        assert!(open("[fe80::1%2]:1"));
        assert!(open("[2001:db8::1%1]:1"));
        assert!(
            !open("[2001:db8::1%2]:1"),
            "the interface counts for link-local addresses only"
        );
    }
}
