//! The settings of the server of a schedule.

use std::time::Duration;

use fastrand::Rng;
use halves::limits::Sources;
use halves::{Server, Timeouts};

/// Zero means no limit, except for `drain_delay` and `drain_timeout`.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) most: usize,
    pub(crate) per_source: u32,
    accept_rate: u32,
    pub(crate) handshake: Duration,
    pub(crate) idle: Duration,
    pub(crate) lifetime: Duration,
    pub(crate) min_rate: u64,
    pub(crate) drain_delay: Duration,
    pub(crate) drain_timeout: Duration,
    /// The bytes that one direction of the network holds.
    pub(crate) bound: usize,
}

impl Settings {
    pub(crate) fn random(random: &mut Rng) -> Self {
        // Each setting is off in one of three schedules.
        let mut some = |most| match random.u8(..3) {
            0 => 0,
            _ => random.u32(1..=most),
        };
        let seconds = |n: u32| Duration::from_secs(n.into());
        Self {
            per_source: some(3),
            accept_rate: some(4),
            handshake: seconds(some(5)),
            idle: seconds(some(20)),
            lifetime: seconds(some(60)),
            min_rate: some(20).into(),
            drain_delay: seconds(some(5)),
            drain_timeout: seconds(some(20)),
            most: random.usize(1..=8),
            bound: random.usize(1..=100),
        }
    }

    pub(crate) fn server(&self, seed: u64) -> Server {
        let timeouts = Timeouts::default()
            .handshake(self.handshake)
            .idle(self.idle)
            .lifetime(self.lifetime)
            .min_rate(self.min_rate);
        let sources = Sources::default()
            .max_connections(self.per_source)
            .accept_rate(self.accept_rate);
        Server::default()
            .seed(seed)
            .max_connections(self.most)
            .timeouts(timeouts)
            .sources(sources)
            .drain_delay(self.drain_delay)
            .drain_timeout(self.drain_timeout)
    }
}
