//! How much of the server one source has, and may have.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::reason::Reason;
use crate::time::Stamp;

/// Below this many sources, nobody looks for those that could be forgotten.
const FEW: usize = 1024;
const SECOND: Duration = Duration::from_secs(1);

/// What each source may have: a source is an address, or the network around it.
///
/// A connection beyond these is accepted, closed at once, and counted.
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
    /// Bits.
    v4_prefix: u8,
    /// Bits.
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
    /// How many connections of one source may be open at a time; 0, the default, is any number.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::limits::Sources::default().max_connections(40);
    /// ```
    pub fn max_connections(mut self, most: u32) -> Self {
        self.max_connections = Some(most).filter(|&most| most > 0);
        self
    }

    /// How many connections one source may make in a second; as many may come at once, if none
    /// came in the second before. 0, the default, is any number.
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

    /// How many bits of an IPv4 address tell sources apart: 32 by default, and at most.
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

    /// How many bits of an IPv6 address tell sources apart, at most 128. The default is 64, as
    /// one customer commonly has that many addresses (RFC 6177). Link-local addresses (RFC 4291, 2.5.6)
    /// of different interfaces are different sources in any case.
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

    fn source(&self, address: SocketAddr) -> Source {
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
        Source {
            network,
            scope: scope(address),
        }
    }
}

/// The key of a source.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Source {
    /// Its first address.
    network: IpAddr,
    /// The interface of a link-local address, which is another address on each; else 0.
    scope: u32,
}

fn scope(address: SocketAddr) -> u32 {
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => v6.scope_id(),
        _ => 0,
    }
}

/// What every source has at the moment.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    limits: Sources,
    usage: HashMap<Source, Usage>,
    /// How many accounts there may be before old ones are looked for.
    sweep_at: usize,
}

#[derive(Debug)]
struct Usage {
    open: u32,
    /// When the source's allowance is whole again (the generic cell rate algorithm of ITU-T
    /// I.371: one number stands for the bucket).
    whole: Stamp,
}

impl Accounts {
    pub(crate) fn new(limits: Sources) -> Self {
        Self {
            limits,
            usage: HashMap::new(),
            sweep_at: FEW,
        }
    }

    /// Whether anything is limited, and so has to be counted.
    pub(crate) fn is_on(&self) -> bool {
        self.limits.max_connections.is_some() || self.limits.accept_rate.is_some()
    }

    /// Counts one more connection, or says what it is too many for.
    pub(crate) fn open(&mut self, address: SocketAddr, now: Stamp) -> Result<(), Reason> {
        self.sweep(now);
        let source = self.limits.source(address);
        let usage = self.usage.entry(source).or_insert(Usage {
            open: 0,
            whole: now,
        });
        // An attempt that is refused for its number costs nothing of the rate, and none the other
        // way round: a source that is patient is let in again.
        if self
            .limits
            .max_connections
            .is_some_and(|most| usage.open >= most)
        {
            return Err(Reason::PerSource);
        }
        if let Some(rate) = self.limits.accept_rate {
            let each = SECOND / rate;
            if usage.whole.since(now) > SECOND - each {
                return Err(Reason::AcceptRate);
            }
            usage.whole = usage.whole.max(now) + each;
        }
        usage.open += 1;
        Ok(())
    }

    /// Gives back what [`open`](Self::open) counted.
    pub(crate) fn close(&mut self, address: SocketAddr, now: Stamp) {
        let source = self.limits.source(address);
        if let Entry::Occupied(mut entry) = self.usage.entry(source) {
            let usage = entry.get_mut();
            usage.open = usage.open.saturating_sub(1);
            if usage.open == 0 && usage.whole <= now {
                entry.remove();
            }
        }
    }

    /// Forgets sources with nothing open and nothing to make up for. Each account is looked at
    /// about once for each that is added, so this costs the same however many there are.
    fn sweep(&mut self, now: Stamp) {
        if self.usage.len() >= self.sweep_at {
            self.usage
                .retain(|_, usage| usage.open > 0 || usage.whole > now);
            self.sweep_at = (2 * self.usage.len()).max(FEW);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Clock;

    #[test]
    fn a_link_local_address_is_another_source_on_each_interface() {
        let mut accounts = Accounts::new(Sources::default().max_connections(1));
        let now = Clock::default().stamp();
        let mut open = |address: &str| {
            let address = address.parse().expect("an address");
            accounts.open(address, now).is_ok()
        };
        assert!(open("[fe80::1%1]:1"));
        assert!(!open("[fe80::2%1]:1"), "the same network of one interface");
        assert!(open("[fe80::1%2]:1"));
        assert!(open("[2001:db8::1%1]:1"));
        assert!(!open("[2001:db8::1%2]:1"), "of others, no interface counts");
    }
}
