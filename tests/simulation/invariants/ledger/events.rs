//! The events of the server.

use std::time::{Duration, Instant};

use halves::server::Closed;
use halves::{Event, Peer, Reason};

use super::{Account, Book, Ledger, MAX_ACCEPT_TIME, Outcome, PRECISION, port};
use halves::connection::Endpoint;

/// The longest wait for the peer after the handler.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

impl Ledger {
    /// Records that a client is connected. Its listener may have ended while it connected.
    pub(crate) fn connect(&self, port: u16, door: usize) {
        let now = self.now();
        let book = &mut *self.book();
        let is_lost = book.lost_doors[door];
        let account = book.account(port);
        account.connected = Some(now);
        account.door = Some(door);
        account.is_lost = is_lost && account.waits();
    }

    /// Records an event, and checks it against the entries before.
    pub(crate) fn observe(&self, event: &Event) {
        let now = self.now();
        let stats = self.handle().stats();
        let listed = self.handle().connections().len();
        let listeners = self.handle().listeners();
        let by_listener = listeners.iter().map(|listener| listener.open).sum::<u64>();
        let book = &mut *self.book();
        let has_ended = book.has_ended;
        book.expect(!has_ended, || format!("after the end: {event}"));
        match event {
            Event::Opened(peer) => book.opened(peer, now),
            Event::Closed(closed) => book.closed(closed, now),
            Event::Refused { peer, reason, .. } => book.refused(peer, *reason, now),
            Event::Suppressed {
                refused,
                accept_failed,
                ..
            } => {
                book.sums.suppressed += refused;
                book.sums.failed += accept_failed;
            }
            Event::AcceptFailed(_) => book.sums.failed += 1,
            Event::Ended(_) => book.has_ended = true,
            Event::Unsent { peer, bytes } => {
                book.note(now, format!("{} unsent: {bytes}", port(peer)));
                book.sums.unsent += *bytes as u64;
                book.account(port(peer)).unsent += *bytes as u64;
            }
            Event::LimitReached(limit) => {
                book.sums.limit_episodes += 1;
                let before = book.limit.replace(*limit);
                book.expect(before.is_none(), || format!("{before:?} is not over"));
            }
            Event::LimitOver(limit) => {
                let before = book.limit.take();
                book.expect(before == Some(*limit), || {
                    format!("{limit:?} is over, and {before:?} was reached")
                });
            }
            Event::Draining { connections, .. } => book.sums.drained = Some(*connections),
            _ => {}
        }
        // A refusal after the accept is reported between the end and its event.
        let ended = match event {
            Event::Refused { peer, .. } => book.account(port(peer)).opened.is_some(),
            _ => false,
        };
        let open = (book.open - usize::from(ended)) as u64;
        let counted = [stats.open, listed as u64, by_listener];
        book.expect(counted == [open; 3], || {
            format!("{open} open, and {counted:?} are counted: {event}")
        });
    }
}

impl Book {
    fn opened(&mut self, peer: &Peer, now: Instant) {
        let port = port(peer);
        self.note(now, format!("{port} opened, number {}", peer.id()));
        self.sums.opened += 1;
        self.open += 1;
        let (open, max) = (self.open, self.max);
        self.expect(open <= max, || {
            format!("{open} connections, more than {max}")
        });
        let free_since = self.free_to_accept_since();
        let accepts_no_more = self.accepts_no_more.is_some();
        let Endpoint::Inet(address) = peer.transport() else {
            return self.fail("a peer without an address");
        };
        let account = self.account(port);
        account.source = address.ip();
        account.id = peer.id();
        account.listener = peer.listener();
        let twice = account.opened.replace(now).is_some() || account.refused;
        let waited = account
            .connected
            .map(|time| now.saturating_duration_since(time.max(free_since)));
        let anonymous = account.anonymous;
        if anonymous {
            account.handshake = Some(now);
        }
        self.expect(!twice, || format!("{port} is accepted twice"));
        self.expect(
            accepts_no_more || waited.is_none_or(|waited| waited <= MAX_ACCEPT_TIME),
            || format!("{port} has waited {waited:?} for its accept"),
        );
        if !anonymous {
            self.admit(port, now);
        }
    }

    fn refused(&mut self, peer: &Peer, reason: Reason, now: Instant) {
        let port = port(peer);
        self.note(now, format!("{port} refused: {reason}"));
        self.sums.refused += 1;
        let account = self.account(port);
        account.refused = true;
        account.listener = peer.listener();
        if account.opened.is_none() {
            self.sums.refused_at_accept += 1;
            match peer.transport() {
                Endpoint::Inet(address) => self.refuse(address.ip(), reason, now),
                other => self.fail(format!("{other} was refused")),
            }
        }
    }

    fn closed(&mut self, closed: &Closed, now: Instant) {
        let (peer, reason) = (&closed.peer, closed.reason);
        let port = port(peer);
        self.note(now, format!("{port} closed: {reason}, {:?}", closed.error));
        if self.open >= self.max {
            self.free_since = now;
        }
        self.open -= 1;
        *self.sums.ended.entry(reason.as_str()).or_default() += 1;
        self.sums.bytes_in += peer.bytes_in();
        self.sums.bytes_out += peer.bytes_out();
        let (is_draining, may_abort) = (self.is_draining, self.may_abort);
        let account = self.account(port);
        let was_open = account.is_open();
        account.closed = Some((now, reason));
        account.payload_out = peer.payload_out();
        let counted = (peer.payload_in(), peer.payload_out());
        let seen = (account.bytes_in as u64, account.bytes_out as u64);
        let is_counted = !account.is_exact() || counted == seen;
        let is_running = account.is_running;
        let explained = explains(account, reason, is_draining, may_abort);
        let in_time = obeys(account, now);
        let linger = account.dropped.map_or(Duration::ZERO, |time| now - time);
        let lingers_long = account.is_exact() && linger > LINGER_TIMEOUT + PRECISION;
        let outcome = account.outcome;
        self.expect(was_open, || format!("{port} has a second reason: {reason}"));
        self.expect(!is_running, || {
            format!("{port} is closed, and its handler exists")
        });
        self.expect(is_counted, || {
            format!("{port}: {counted:?} counted, {seen:?} moved")
        });
        self.expect(explained, || {
            format!("{port} cannot end with {reason}, its handler ended with {outcome:?}")
        });
        self.expect(in_time, || format!("{port} did not obey an order in time"));
        self.expect(!lingers_long, || {
            format!("{port} has lingered for {linger:?}")
        });
        self.check_early(port, reason, now);
    }
}

/// Returns true if a connection may end with this reason: the first that was set.
fn explains(account: &Account, reason: Reason, is_draining: bool, may_abort: bool) -> bool {
    let orders = &account.orders;
    let first = orders.first().map(|&(_, reason)| reason);
    if orders.iter().any(|&(_, later)| later == reason) {
        return first == Some(reason) || (reason == Reason::Aborted && may_abort);
    }
    let returned = account.outcome == Some(Outcome::Returned);
    match reason {
        Reason::Eof => returned && (account.saw_end || !account.is_exact()),
        Reason::Handler => returned && !(account.is_exact() && account.saw_end),
        Reason::Drained => returned && is_draining,
        Reason::Error => account.outcome.is_some(),
        Reason::Panic => account.outcome == Some(Outcome::Panicked),
        Reason::Aborted => may_abort,
        Reason::Idle | Reason::Lifetime | Reason::MinRate | Reason::Handshake => true,
        Reason::Denied | Reason::PerSource | Reason::AcceptRate => account.refused,
        _ => false,
    }
}

/// Returns true if all orders were obeyed in time.
fn obeys(account: &Account, now: Instant) -> bool {
    account.orders.iter().all(|&(time, order)| {
        let is_reset = order != Reason::Closed;
        let dropped = account.dropped.unwrap_or(time);
        let linger = if is_reset {
            Duration::ZERO
        } else {
            LINGER_TIMEOUT
        };
        // A layer is flushed first.
        let flushes = !is_reset && !account.is_exact();
        dropped <= time + PRECISION && (flushes || now <= time + linger + PRECISION)
    })
}
