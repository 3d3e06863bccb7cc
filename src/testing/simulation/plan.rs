//! The planned faults of a connection: drawn once from the seed and the number of the connection, so
//! that the order of tasks does not change them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::faults::Faults;

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the client to the server.
    Up,
    Down,
}

/// A fault of one direction, when so many bytes have been written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlannedFault {
    pub(super) at: u64,
    pub(super) kind: FaultKind,
}

/// A fault of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// The bytes behind it arrive later.
    Stall(Duration),
    /// Both directions fail.
    Reset,
    /// The direction ends. Bytes behind it are refused.
    End,
    /// The receiver is gone without an end: bytes behind it are lost.
    Vanish,
}

/// A fault of a run. Its text is the form in which a failure prints it.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    Planned {
        connection: u64,
        way: Way,
        fault: PlannedFault,
    },
    Refused {
        connection: u64,
    },
    /// The accept of this number of a name fails first.
    Accept {
        name: Arc<str>,
        number: u64,
        error: &'static str,
    },
}

/// The conditions of one connection.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Seeds the sizes of pieces and the delays.
    pub(super) seed: u64,
    pub(super) is_refused: bool,
    /// By [`Way`].
    pub(super) faults: [Vec<PlannedFault>; 2],
}

impl Plan {
    /// Returns the plan of the connection with this number.
    pub(super) fn new(faults: &Faults, seed: u64, connection: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ connection.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let is_refused = happens(&mut rng, faults.refusals);
        let ways = [(); 2].map(|()| {
            let mut planned = Vec::new();
            let mut add = |rng: &mut Rng, share, kind: fn(&mut Rng, &Faults) -> FaultKind| {
                let at = rng.u64(faults.offsets.clone());
                let kind = kind(rng, faults);
                if happens(rng, share) {
                    planned.push(PlannedFault { at, kind });
                }
            };
            add(&mut rng, faults.stalls, |rng, faults| {
                FaultKind::Stall(faults.max_stall.mul_f64(rng.f64()))
            });
            add(&mut rng, faults.resets, |_, _| FaultKind::Reset);
            add(&mut rng, faults.ends, |_, _| FaultKind::End);
            add(&mut rng, faults.vanishings, |_, _| FaultKind::Vanish);
            planned.sort_by_key(|fault| fault.at);
            planned
        });
        Self {
            seed: rng.u64(..),
            is_refused,
            faults: ways,
        }
    }

    /// Leaves out the faults that `keeps` returns false for.
    pub(super) fn retain(&mut self, connection: u64, keeps: impl Fn(&Fault) -> bool) {
        self.is_refused &= keeps(&Fault::Refused { connection });
        for way in [Way::Up, Way::Down] {
            self.faults[way as usize].retain(|&fault| {
                keeps(&Fault::Planned {
                    connection,
                    way,
                    fault,
                })
            });
        }
    }
}

impl Fault {
    /// Returns true if bytes or an end of a connection are lost.
    pub(super) fn loses_bytes(&self) -> bool {
        match self {
            Self::Planned { fault, .. } => !matches!(fault.kind, FaultKind::Stall(_)),
            Self::Refused { .. } | Self::Accept { .. } => false,
        }
    }
}

impl Way {
    /// Returns the end that writes in this direction.
    pub(super) fn sender(self) -> &'static str {
        match self {
            Self::Up => "client",
            Self::Down => "server",
        }
    }
}

pub(super) fn happens(rng: &mut Rng, share: f64) -> bool {
    rng.f64() < share
}

/// Returns a random number below `bound`, the same one on machines of 32 and of 64 bits.
pub(super) fn below(rng: &mut Rng, bound: usize) -> usize {
    usize::try_from(rng.u64(..bound as u64)).unwrap_or_default()
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Planned {
                connection,
                way,
                fault: PlannedFault { at, kind },
            } => write!(f, "connection {connection} {way} at {at}: {kind}"),
            Self::Refused { connection } => write!(f, "connection {connection}: refused"),
            Self::Accept {
                name,
                number,
                error,
            } => write!(f, "accept {number} of {name}: {error}"),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stall(time) => write!(f, "stall for {}us", time.as_micros()),
            Self::Reset => f.write_str("reset"),
            Self::End => f.write_str("end"),
            Self::Vanish => f.write_str("vanish"),
        }
    }
}
