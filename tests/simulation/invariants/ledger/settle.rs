//! The checks at the end of a script, when the server has ended and all clients are gone.

use halves::stats::Stats;
use halves::testing::pattern;
use halves::{Reason, Report};

use super::{Account, Answer, Book, ClientEnd, Kind, Ledger, Outcome};
use crate::invariants::Network;

impl Ledger {
    /// Checks the sums of the server, and each connection. `report` is there unless the server was
    /// dropped.
    pub(crate) fn settle(&self, report: Option<Report>) {
        let handle = self.handle();
        let (stats, listeners) = (handle.stats(), handle.listeners());
        let histograms = handle.histograms();
        let is_empty = handle.connections().is_empty();
        let is_over = !handle.is_ready() && handle.local_addrs().is_empty();
        let network = self.0.network;
        let book = &mut *self.book();
        book.settle_stats(&stats, report);
        book.expect(is_empty, || "a connection is still listed".into());
        book.expect(is_over, || "the server still seems to listen".into());
        let closed = book.sums.ended.values().sum::<u64>();
        let sums = (histograms.bytes_in.sum(), histograms.bytes_out.sum());
        let totals = (histograms.age.total(), histograms.bytes_in.total());
        let expected = (book.sums.bytes_in, book.sums.bytes_out);
        book.expect(sums == expected && totals == (closed, closed), || {
            format!("histograms of {totals:?} with {sums:?} bytes, not {closed} with {expected:?}")
        });
        let of_listeners = listeners.iter().fold([0; 5], |sums, stats| {
            let own = [
                stats.accepted,
                stats.open,
                stats.ended,
                stats.bytes_in,
                stats.bytes_out,
            ];
            std::array::from_fn(|n| sums[n] + own[n])
        });
        let (accepted, bytes_in, bytes_out) = (stats.accepted, stats.bytes_in, stats.bytes_out);
        book.expect(
            of_listeners == [accepted, 0, accepted, bytes_in, bytes_out],
            || format!("{of_listeners:?} of the listeners, {stats:?}"),
        );
        for (index, listener) in listeners.iter().enumerate() {
            let seen = book.accounts.values().filter(|account| {
                account.door == Some(index) && (account.opened.is_some() || account.refused)
            });
            let seen = seen.count() as u64;
            let suppressed = book.sums.suppressed;
            book.expect(
                (seen..=seen + suppressed).contains(&listener.accepted),
                || format!("listener {index} has {}, not {seen}", listener.accepted),
            );
        }
        let accounts = std::mem::take(&mut book.accounts);
        let drops_tasks = book.drops_tasks;
        for account in accounts.values() {
            if let Some(problem) = account.problem(network, drops_tasks) {
                let (port, kind, end) = (account.port, account.kind, account.end);
                let closed = account.closed;
                book.fail(format!("{port} {kind:?} {end:?} {closed:?}: {problem}"));
            }
        }
    }
}

impl Book {
    fn settle_stats(&mut self, stats: &Stats, report: Option<Report>) {
        let sums = &self.sums;
        let mut problems = Vec::new();
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                problems.push(what.to_owned());
            }
        };
        let ended = |reason: &Reason| sums.ended.get(reason.as_str()).copied().unwrap_or(0);
        let refusals = Reason::ALL.iter().filter(|reason| reason.is_refusal());
        let closed_by_refusal = refusals.map(ended).sum::<u64>();
        for reason in Reason::ALL.iter().filter(|reason| !reason.is_refusal()) {
            expect(stats.ended[*reason] == ended(reason), reason.as_str());
        }
        let refused = sums.refused + sums.suppressed;
        expect(stats.ended.refused() == refused, "refusals");
        let at_accept = refused - closed_by_refusal;
        expect(stats.accepted == sums.opened + at_accept, "accepts");
        expect(stats.accepted == stats.ended.total(), "one reason each");
        expect(stats.open == 0, "open");
        expect(stats.accept_errors == sums.accept_errors, "accept errors");
        expect(sums.failed <= sums.accept_errors, "failed accepts");
        expect(stats.bytes_in == sums.bytes_in, "bytes in");
        expect(stats.bytes_out == sums.bytes_out, "bytes out");
        expect(stats.bytes_unsent == sums.unsent, "bytes unsent");
        expect(
            stats.limit_episodes == sums.limit_episodes,
            "episodes of limits",
        );
        if let Some(report) = report {
            expect(report.stats == *stats, "the report");
            let drained = sums.drained.unwrap_or(report.finished);
            expect(report.finished + report.aborted == drained, "the drain");
            expect(self.limit.is_none(), "a limit that is not over");
        }
        if !problems.is_empty() {
            let text = format!("wrong: {problems:?}: {stats:?}, {sums:?}, {report:?}");
            self.fail(text);
        }
    }
}

impl Account {
    /// Returns what is wrong with the answer, if something is.
    fn problem(&self, network: Network, drops_tasks: bool) -> Option<String> {
        if self.opened.is_some() != self.closed.is_some() {
            return Some("opened, and not closed".into());
        }
        let (got, sent) = (self.got.len(), self.sent);
        if self.opened.is_none() {
            // The end of input without a byte is a refusal.
            let silent = got == 0 && (self.refused || self.end != ClientEnd::Clean);
            if !silent && network.ends_are_real() {
                return Some("an answer of no handler".into());
            }
            let reset = self.refused && self.end == ClientEnd::Broken;
            return (reset && network.keeps_connections()).then(|| "a refusal with a reset".into());
        }
        let expected = self.expected();
        if !expected.starts_with(&self.got) {
            return Some(format!("{got} wrong bytes, {sent} sent"));
        }
        let out = self.payload_out;
        if got as u64 > out {
            return Some(format!("{got} bytes arrived, {out} counted"));
        }
        if self.kind == Some(Kind::Spawns) {
            return None;
        }
        match self.end {
            ClientEnd::Clean if network.ends_are_real() => self.problem_of_end(network),
            ClientEnd::Broken if network.keeps_connections() && !drops_tasks => {
                self.problem_of_reset()
            }
            _ => None,
        }
    }

    /// Returns the bytes that the handler may answer.
    fn expected(&self) -> Vec<u8> {
        let kind = self.kind.unwrap_or(Kind::Sleeps);
        match kind.answer() {
            Answer::Pattern => pattern(self.got.len()),
            Answer::Same => pattern(self.sent).split_off(self.skipped.min(self.sent)),
            Answer::Upper => {
                let sent = pattern(self.sent).split_off(self.skipped.min(self.sent));
                sent.to_ascii_uppercase()
            }
        }
    }

    /// The client has seen the end of its input, so it must have the whole answer.
    fn problem_of_end(&self, network: Network) -> Option<String> {
        let (got, out) = (self.got.len() as u64, self.payload_out);
        if got != out {
            return Some(format!("{got} of {out} bytes before a clean end"));
        }
        if self.unsent > 0 || self.in_message {
            return Some(format!("a cut answer of {got} bytes has a clean end"));
        }
        let (_, reason) = self.closed?;
        let whole = reason == Reason::Eof && self.kind.is_some_and(Kind::answers_all);
        if whole && self.client_closed && network.keeps_connections() {
            let wanted = self.sent.saturating_sub(self.skipped);
            // The last bytes are no line.
            let is_line = |&byte: &u8| byte == b'\n';
            let wanted = if self.kind == Some(Kind::Lines) {
                let lines = self.expected();
                lines.iter().rposition(is_line).map_or(0, |last| last + 1)
            } else {
                wanted
            };
            if self.got.len() != wanted {
                return Some(format!("an answer of {got} bytes, not {wanted}"));
            }
        }
        None
    }

    /// The client has seen a reset, so the server must have had a reason to reset.
    fn problem_of_reset(&self) -> Option<String> {
        let (_, reason) = self.closed?;
        let resets = matches!(
            reason,
            Reason::Killed | Reason::Aborted | Reason::Panic | Reason::Error
        );
        let ordered = self
            .orders
            .iter()
            .any(|&(_, order)| order != Reason::Closed);
        let returned = self.outcome == Some(Outcome::Returned);
        let may_write = self.writes || !(self.is_exact() || returned);
        // A layer keeps bytes that are not sent either.
        let may_keep =
            self.kind == Some(Kind::Layered) && (self.got.len() as u64) < self.payload_out;
        let is_cut = may_write || may_keep || self.unsent > 0;
        let panicked = self.outcome == Some(Outcome::Panicked);
        (!resets && !panicked && !ordered && !is_cut && !self.client_left)
            .then(|| format!("a reset after {reason}"))
    }
}
