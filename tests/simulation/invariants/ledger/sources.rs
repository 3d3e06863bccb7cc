//! The limits of each source, and the connections that count for it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use halves::Reason;

use super::{Account, Book};
use crate::invariants::settings::SourceLimits;

const SECOND: Duration = Duration::from_secs(1);
/// The precision of the time of an accept.
const PRECISION: Duration = Duration::from_millis(2);

pub(super) struct SourceBook {
    limits: SourceLimits,
    since: Instant,
    /// The accepts while there was a limit.
    admitted: Vec<(Instant, IpAddr)>,
}

impl SourceBook {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            limits: SourceLimits::default(),
            since: now,
            admitted: Vec::new(),
        }
    }

    /// Sets the limits. Connections that are open count against them, unless their end has begun.
    pub(super) fn set(
        &mut self,
        limits: SourceLimits,
        accounts: &mut BTreeMap<u16, Account>,
        now: Instant,
    ) {
        if limits.is_on() && !self.limits.is_on() {
            for account in accounts.values_mut() {
                let is_ending = account.dropped.is_some() || !account.orders.is_empty();
                account.counts_for_certain = account.counts && !is_ending;
            }
        }
        self.limits = limits;
        self.since = now;
    }

    /// Counts the accepts of a source in the last second.
    fn accepts(&self, source: IpAddr, now: Instant) -> usize {
        let is_recent = |time: Instant| now - time <= SECOND + PRECISION;
        let of_source = |other| self.limits.joins(source, other);
        let admitted = self.admitted.iter();
        admitted
            .filter(|&&(time, other)| is_recent(time) && of_source(other))
            .count()
    }

    /// The rate is checked only for limits that are a while in force.
    fn rate(&self, now: Instant) -> Option<usize> {
        let old = now - self.since > 2 * SECOND;
        let rate = usize::try_from(self.limits.rate).expect("a small number");
        Some(rate).filter(|&rate| rate > 0 && old)
    }
}

impl Book {
    /// Records that the source of a connection is admitted.
    pub(super) fn admit(&mut self, port: u16, now: Instant) {
        let account = self.account(port);
        let source = account.source;
        (account.counts, account.counts_for_certain) = (true, true);
        let allowed = self.allowed;
        self.expect(allowed.admits(source), || {
            format!("{source} is admitted, against {allowed:?}")
        });
        let limits = self.sources.limits;
        if !limits.is_on() {
            return;
        }
        self.sources.admitted.push((now, source));
        let certain = self.open_of(source, |account| account.counts_for_certain);
        self.expect(limits.open == 0 || certain <= limits.open as usize, || {
            format!("{source} has {certain} connections, more than {limits:?}")
        });
        let accepts = self.sources.accepts(source, now);
        let rate = self.sources.rate(now);
        // A full bucket, and what came into it in the second.
        self.expect(rate.is_none_or(|rate| accepts <= 2 * rate), || {
            format!("{source} had {accepts} accepts in a second, beyond {limits:?}")
        });
    }

    /// Checks the refusal of a source.
    pub(super) fn refuse(&mut self, source: IpAddr, reason: Reason, now: Instant) {
        let limits = self.sources.limits;
        let open = self.open_of(source, |account| account.counts);
        let is_right = match reason {
            Reason::Denied => !self.allowed.admits(source),
            Reason::PerSource => limits.open > 0 && open >= limits.open as usize,
            Reason::AcceptRate => {
                let accepts = self.sources.accepts(source, now);
                limits.rate > 0 && self.sources.rate(now).is_none_or(|rate| accepts >= rate)
            }
            _ => false,
        };
        let allowed = self.allowed;
        self.expect(is_right, || {
            format!(
                "{source} with {open} connections is refused by {reason}: {limits:?}, {allowed:?}"
            )
        });
    }

    fn open_of(&self, source: IpAddr, counts: impl Fn(&Account) -> bool) -> usize {
        let limits = self.sources.limits;
        let open = self.accounts.values().filter(|account| {
            account.closed.is_none() && counts(account) && limits.joins(source, account.source)
        });
        open.count()
    }
}
