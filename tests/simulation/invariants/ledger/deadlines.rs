//! The entries of handlers, and the deadlines of their connections.

use std::time::{Duration, Instant};

use halves::Reason;

use super::{Account, Book, Kind, Ledger, Outcome, PRECISION};
use crate::invariants::settings::Times;

/// The time over which the minimum rate is an average.
const RATE_WINDOW: Duration = Duration::from_secs(5);
/// The time without a byte after which a handler that obeys a drain returns.
const QUIET_TIMEOUT: Duration = Duration::from_secs(1);
/// The most reads, and the most writes, of one poll of a handler.
const MAX_CALLS: u32 = 32;

impl Ledger {
    pub(crate) fn begin_handler(&self, port: u16, kind: Kind) {
        let now = self.now();
        let mut book = self.book();
        book.note(now, format!("{port} is served: {kind:?}"));
        let account = book.account(port);
        account.kind = Some(kind);
        account.is_running = true;
        account.active = account.opened;
    }

    pub(crate) fn begin_poll(&self, port: u16) {
        self.with(port, |account, _| account.calls = [0; 2]);
    }

    pub(crate) fn outcome(&self, port: u16, outcome: Outcome) {
        let now = self.now();
        let mut book = self.book();
        book.note(now, format!("{port}: the handler {outcome:?}"));
        book.account(port).outcome = Some(outcome);
    }

    pub(crate) fn drop_handler(&self, port: u16) {
        let now = self.now();
        let mut book = self.book();
        book.check_late(port, now);
        book.note(now, format!("{port}: the handler is dropped"));
        let account = book.account(port);
        account.is_running = false;
        account.dropped = Some(now);
    }

    /// Compares the list of connections with the entries.
    pub(crate) fn inspect(&self) {
        let now = self.now();
        let listed = self.handle().connections();
        let book = &mut *self.book();
        let times = book.times;
        for info in listed {
            let accounts = book.accounts.values();
            let Some(account) = accounts.into_iter().find(|account| account.id == info.id) else {
                return book.fail(format!("{info:?} was not opened"));
            };
            let age = account.opened.map(|opened| now - opened);
            let is_exact = account.is_exact() && account.is_running;
            let idle = account
                .active
                .map(|active| now - active)
                .filter(|_| is_exact);
            let bytes = (account.bytes_in as u64, account.bytes_out as u64);
            let left = info
                .deadline
                .filter(|_| is_exact)
                .map(|next| (next.reason, next.left));
            let far = account.next_is_wrong(left, times, now);
            book.expect(age.is_none_or(|age| near(age, info.age)), || {
                format!("{age:?}: {info:?}")
            });
            book.expect(idle.is_none_or(|idle| near(idle, info.idle)), || {
                format!("{idle:?}: {info:?}")
            });
            book.expect(
                !is_exact || bytes == (info.bytes_in, info.bytes_out),
                || format!("{bytes:?}: {info:?}"),
            );
            book.expect(!far, || format!("a wrong deadline: {info:?}"));
        }
    }

    /// Records bytes that the handler has read. `expected` are the bytes that the client sends.
    pub(crate) fn read(&self, port: u16, bytes: &[u8], expected: &[u8]) {
        let now = self.now();
        let mut book = self.book();
        book.check_late(port, now);
        let account = book.account(port);
        let at = account.bytes_in;
        account.bytes_in += bytes.len();
        account.reads.push((now, bytes.len()));
        account.active = Some(now);
        account.calls[0] += 1;
        let (calls, is_closed) = (account.calls[0], account.closed.is_some());
        book.count_call();
        let is_right = expected[at..].starts_with(bytes);
        book.expect(!is_closed, || format!("{port}: read after the end"));
        book.expect(is_right, || format!("{port}: wrong bytes after {at}"));
        book.expect(calls <= MAX_CALLS, || {
            format!("{port}: {calls} reads in a poll")
        });
    }

    pub(crate) fn wrote(&self, port: u16, bytes: usize) {
        let now = self.now();
        let mut book = self.book();
        book.check_late(port, now);
        let account = book.account(port);
        account.bytes_out += bytes;
        let is_closed = account.closed.is_some();
        account.active = Some(now);
        account.calls[1] += 1;
        let calls = account.calls[1];
        book.count_call();
        book.expect(!is_closed, || format!("{port}: written after the end"));
        book.expect(calls <= MAX_CALLS, || {
            format!("{port}: {calls} writes in a poll")
        });
    }

    pub(crate) fn saw_end(&self, port: u16) {
        self.with(port, |account, _| account.saw_end = true);
    }

    /// Records the bytes of a message that are written, and those that are left.
    pub(crate) fn message(&self, port: u16, written: usize, left: usize) {
        self.with(port, |account, _| {
            account.writes = left > 0;
            account.in_message = written > 0 && left > 0;
        });
    }

    pub(crate) fn begin_handshake(&self, port: u16) {
        self.with(port, |account, now| {
            account.handshake.get_or_insert(now);
        });
    }

    pub(crate) fn end_handshake(&self, port: u16) {
        let now = self.now();
        let mut book = self.book();
        book.check_late(port, now);
        book.account(port).handshake = None;
    }

    /// Records the result of the check of the real client.
    pub(crate) fn identified(
        &self,
        port: u16,
        source: std::net::Ipv4Addr,
        refused: Option<Reason>,
    ) {
        let now = self.now();
        let mut book = self.book();
        book.note(now, format!("{port} is {source}, refused: {refused:?}"));
        book.check_late(port, now);
        let account = book.account(port);
        account.handshake = None;
        account.source = source.into();
        account.anonymous = false;
        match refused {
            Some(reason) => {
                account.refused = true;
                book.refuse(source.into(), reason, now);
            }
            None => book.admit(port, now),
        }
    }
}

impl Book {
    /// Checks that no deadline has passed long ago.
    fn check_late(&mut self, port: u16, now: Instant) {
        let (times, since, drained) = (self.times, self.times_since, self.accepts_no_more);
        let account = self.account(port);
        let late = account.late(times, since, drained, now);
        self.expect(late.is_none(), || {
            format!("{port} has lived beyond a deadline: {late:?} of {times:?}")
        });
    }

    /// Checks that a deadline has not ended the connection too early.
    pub(super) fn check_early(&mut self, port: u16, reason: Reason, now: Instant) {
        let all = self.all_times.clone();
        let account = self.account(port);
        let passed = account.has_passed(reason, &all, now);
        self.expect(passed, || {
            format!("{port} is ended too early by {reason}: {all:?}")
        });
    }
}

impl Account {
    /// Returns the reason of a deadline that has passed.
    fn late(
        &self,
        times: Times,
        since: Instant,
        drained: Option<Instant>,
        now: Instant,
    ) -> Option<Reason> {
        let is_late = |begin: Option<Instant>, time: Duration| {
            let due = begin.map(|begin| (begin + time).max(since) + PRECISION);
            !time.is_zero() && due.is_some_and(|due| now > due)
        };
        if self.outcome.is_some() {
            return None;
        }
        let waits = self.kind == Some(Kind::Copies) && !self.writes && self.handshake.is_none();
        if let Some(drained) = drained.filter(|_| waits)
            && is_late(self.active.map(|active| active.max(drained)), QUIET_TIMEOUT)
        {
            return Some(Reason::Drained);
        }
        if is_late(self.active.filter(|_| self.is_exact()), times.idle) {
            return Some(Reason::Idle);
        }
        if is_late(self.opened, times.lifetime) {
            return Some(Reason::Lifetime);
        }
        if is_late(self.handshake, times.handshake) {
            return Some(Reason::Handshake);
        }
        self.is_slow(times, since, now).then_some(Reason::MinRate)
    }

    /// Returns true if the next deadline is not the one of these timeouts.
    fn next_is_wrong(&self, next: Option<(Reason, Duration)>, times: Times, now: Instant) -> bool {
        let Some((reason, left)) = next else {
            return false;
        };
        let due = |begin: Option<Instant>, time: Duration| {
            begin.is_some_and(|begin| near((begin + time).saturating_duration_since(now), left))
        };
        match reason {
            Reason::Idle => !due(self.active, times.idle),
            Reason::Handshake => !due(self.handshake, times.handshake),
            Reason::Lifetime => {
                let most = self.opened.map(|opened| (opened + times.lifetime) - now);
                most.is_none_or(|most| left > most)
            }
            _ => false,
        }
    }

    /// Returns true if a handler that never writes still lives after a first window with too few
    /// bytes.
    fn is_slow(&self, times: Times, since: Instant, now: Instant) -> bool {
        let (Some(&(first, _)), Some(opened)) = (self.reads.first(), self.opened) else {
            return false;
        };
        let end = first + RATE_WINDOW + PRECISION;
        self.only_reads()
            && since < opened
            && now > end
            && self.bytes_between(opened, end) < times.min_rate * RATE_WINDOW.as_secs()
    }

    /// Returns true if the handler reads, and does nothing else, from the accept on.
    fn only_reads(&self) -> bool {
        self.kind == Some(Kind::Discards) && self.handshake.is_none() && self.skipped == 0
    }

    fn bytes_between(&self, begin: Instant, end: Instant) -> u64 {
        let within = self
            .reads
            .iter()
            .filter(|(time, _)| (begin..=end).contains(time));
        within.map(|&(_, bytes)| bytes as u64).sum()
    }

    /// Returns true if the deadline of this reason has passed, under one of the timeouts.
    fn has_passed(&self, reason: Reason, all: &[Times], now: Instant) -> bool {
        let now = self.dropped.unwrap_or(now);
        let passed = |begin: Option<Instant>, time: fn(&Times) -> Duration| {
            let mut times = all.iter().map(time).filter(|time| !time.is_zero());
            let begin = begin.unwrap_or(now);
            times.any(|time| now + PRECISION >= begin + time)
        };
        match reason {
            Reason::Idle if self.is_exact() => passed(self.active, |times| times.idle),
            Reason::Lifetime => passed(self.opened, |times| times.lifetime.mul_f64(0.9)),
            Reason::Handshake => passed(self.handshake, |times| times.handshake),
            Reason::MinRate if self.is_exact() => {
                let rate = all.iter().map(|times| times.min_rate).max().unwrap_or(0);
                let last = |window| self.bytes_between(now - window, now);
                // A handler that only reads waits all the time, so that its windows are known.
                let is_silent = self.only_reads() && last(RATE_WINDOW + PRECISION) == 0;
                let bytes = last(RATE_WINDOW - PRECISION);
                !is_silent && self.bytes_in > 0 && bytes < rate * RATE_WINDOW.as_secs()
            }
            _ => true,
        }
    }
}

/// Returns true if two times are the same, by the precision of clocks.
fn near(one: Duration, other: Duration) -> bool {
    one.abs_diff(other) <= PRECISION
}
