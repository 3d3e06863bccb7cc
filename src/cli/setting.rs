//! `Setting`: a limit of a running server, and its new value. `Limits`: the present values.

use std::num::NonZero;
use std::time::Duration;

use halves::limits::Sources;
use halves::{Handle, Timeouts};

use super::args::ServerOptions;
use super::values::{PerSource, count, duration, number};
use super::words::{did_you_mean, nearest};

/// The options that can change while the server runs.
const OPTIONS: [&str; 7] = [
    "max-connections",
    "max-per-source",
    "accept-rate",
    "handshake-timeout",
    "idle-timeout",
    "lifetime",
    "min-rate",
];

/// A new value of an option.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Setting {
    MaxConnections(NonZero<usize>),
    MaxPerSource(PerSource),
    AcceptRate(u32),
    HandshakeTimeout(Duration),
    IdleTimeout(Duration),
    Lifetime(Duration),
    MinRate(u64),
}

/// The limits of which the library replaces several at once.
pub(super) struct Limits {
    pub(super) timeouts: Timeouts,
    pub(super) sources: Sources,
}

impl Setting {
    /// Parses the name of an option, without its dashes, and a value.
    pub(super) fn parse(option: &str, value: &str) -> Result<Self, String> {
        let parsed = match option {
            "max-connections" => count(value).map(Self::MaxConnections),
            "max-per-source" => value.parse().map(Self::MaxPerSource),
            "accept-rate" => number(value).map(Self::AcceptRate),
            "handshake-timeout" => duration(value).map(Self::HandshakeTimeout),
            "idle-timeout" => duration(value).map(Self::IdleTimeout),
            "lifetime" => duration(value).map(Self::Lifetime),
            "min-rate" => number(value).map(Self::MinRate),
            _ => {
                let options = OPTIONS.join(", ");
                let problem = format!("'{option}' cannot be set; these can: {options}");
                return Err(did_you_mean(&problem, nearest(option, OPTIONS)));
            }
        };
        parsed.map_err(|problem| format!("{option} '{value}': {problem}"))
    }
}

impl Limits {
    pub(super) fn of(options: &ServerOptions) -> Self {
        let per_source = options.max_per_source;
        Self {
            timeouts: Timeouts::default()
                .handshake(options.handshake_timeout)
                .idle(options.idle_timeout)
                .lifetime(options.lifetime)
                .min_rate(options.min_rate),
            sources: with_per_source(Sources::default(), per_source)
                .accept_rate(options.accept_rate),
        }
    }

    /// Sets one limit of a server, and keeps the others.
    pub(super) fn set(&mut self, setting: Setting, handle: &Handle) {
        let (timeouts, sources) = (self.timeouts.clone(), self.sources.clone());
        match setting {
            Setting::MaxConnections(max) => return handle.set_max_connections(max.get()),
            Setting::MaxPerSource(value) => self.sources = with_per_source(sources, value),
            Setting::AcceptRate(rate) => self.sources = sources.accept_rate(rate),
            Setting::HandshakeTimeout(time) => self.timeouts = timeouts.handshake(time),
            Setting::IdleTimeout(time) => self.timeouts = timeouts.idle(time),
            Setting::Lifetime(time) => self.timeouts = timeouts.lifetime(time),
            Setting::MinRate(rate) => self.timeouts = timeouts.min_rate(rate),
        }
        match setting {
            Setting::MaxPerSource(_) | Setting::AcceptRate(_) => {
                handle.set_sources(self.sources.clone());
            }
            _ => handle.set_timeouts(self.timeouts.clone()),
        }
    }
}

fn with_per_source(sources: Sources, value: PerSource) -> Sources {
    sources
        .max_connections(value.max_connections)
        .v4_prefix(value.v4_prefix)
        .v6_prefix(value.v6_prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_that_can_be_set_takes_a_value() {
        for option in OPTIONS {
            assert!(Setting::parse(option, "1").is_ok(), "{option}");
            let problem = Setting::parse(option, "x").expect_err(option);
            assert!(problem.starts_with(&format!("{option} 'x': ")), "{problem}");
        }
        let problem = Setting::parse("idle-timout", "1").expect_err("a typo");
        assert!(
            problem.ends_with("did you mean 'idle-timeout'?"),
            "{problem}"
        );
    }
}
