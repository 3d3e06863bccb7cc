//! Random settings of a server, in a form that the ledger can read.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use halves::Timeouts;
use halves::limits::{Rules, Sources};
use halves::testing::Sim;

/// The timeouts of a server. Zero is off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) handshake: Duration,
    pub(crate) idle: Duration,
    pub(crate) lifetime: Duration,
    /// Bytes per second.
    pub(crate) min_rate: u64,
}

/// The limits of each source. Zero is off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SourceLimits {
    pub(crate) open: u32,
    /// Accepts per second.
    pub(crate) rate: u32,
    prefix: u8,
}

/// The sources that may connect.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Allowed {
    #[default]
    All,
    AllBut(Ipv4Addr),
    /// A network of 256 addresses.
    Only(Ipv4Addr),
}

/// Returns true for one of `n` scripts.
pub(crate) fn one_of(sim: &Sim, n: u64) -> bool {
    sim.random(0..n) == 0
}

/// Returns a random time, in milliseconds.
pub(crate) fn millis(sim: &Sim, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(sim.random(range))
}

/// Returns an address of a client. One of them is frequent.
pub(crate) fn source(sim: &Sim) -> Ipv4Addr {
    let last = if one_of(sim, 2) { 1 } else { sim.random(1..5) };
    Ipv4Addr::new(192, 0, 2, u8::try_from(last).expect("a small number"))
}

impl Times {
    pub(crate) fn random(sim: &Sim) -> Self {
        let off_or = |range| {
            if one_of(sim, 2) {
                Duration::ZERO
            } else {
                millis(sim, range)
            }
        };
        Self {
            handshake: off_or(200..10_000),
            idle: off_or(300..60_000),
            lifetime: off_or(500..60_000),
            min_rate: if one_of(sim, 2) {
                0
            } else {
                sim.random(1..500)
            },
        }
    }

    pub(crate) fn timeouts(self) -> Timeouts {
        Timeouts::default()
            .handshake(self.handshake)
            .idle(self.idle)
            .lifetime(self.lifetime)
            .min_rate(self.min_rate)
    }
}

impl SourceLimits {
    pub(crate) fn random(sim: &Sim) -> Self {
        let small = || u32::try_from(sim.random(0..4)).expect("a small number");
        let (open, rate) = (small(), small());
        let prefix = if one_of(sim, 2) { 32 } else { 31 };
        Self { open, rate, prefix }
    }

    pub(crate) fn sources(self) -> Sources {
        Sources::default()
            .max_connections(self.open)
            .accept_rate(self.rate)
            .v4_prefix(self.prefix)
    }

    pub(crate) fn is_on(self) -> bool {
        self.open > 0 || self.rate > 0
    }

    /// Returns true if two addresses are one source.
    pub(crate) fn joins(self, one: IpAddr, other: IpAddr) -> bool {
        let (IpAddr::V4(one), IpAddr::V4(other)) = (one, other) else {
            return one == other;
        };
        let bits = 32 - u32::from(self.prefix.max(1));
        one.to_bits() >> bits == other.to_bits() >> bits
    }
}

impl Allowed {
    pub(crate) fn random(sim: &Sim) -> Self {
        match sim.random(0..6) {
            0 => Self::AllBut(source(sim)),
            1 => Self::Only(Ipv4Addr::new(192, 0, 2, 0)),
            2 => Self::Only(Ipv4Addr::new(198, 51, 100, 0)),
            _ => Self::All,
        }
    }

    pub(crate) fn rules(self) -> Rules {
        let net = |text: String| text.parse().expect("a network");
        match self {
            Self::All => Rules::default(),
            Self::AllBut(address) => Rules::default().deny(net(address.to_string())),
            Self::Only(network) => Rules::default().allow(net(format!("{network}/24"))),
        }
    }

    pub(crate) fn admits(self, source: IpAddr) -> bool {
        let IpAddr::V4(source) = source else {
            return false;
        };
        match self {
            Self::All => true,
            Self::AllBut(address) => source != address,
            Self::Only(network) => source.octets()[..3] == network.octets()[..3],
        }
    }
}
