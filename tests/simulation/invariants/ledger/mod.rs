//! `Ledger`: the connections of one server, as its events, its handlers and the clients report them.

mod account;
mod deadlines;
mod events;
mod settle;
mod sources;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use halves::connection::Endpoint;
use halves::server::Limit;
use halves::testing::Sim;
use halves::{Clock, Handle, Peer, Reason};

use super::Network;
use super::settings::{Allowed, SourceLimits, Times};
pub(crate) use account::{Account, Answer, ClientEnd, Kind, Outcome};

/// The precision of deadlines: a few milliseconds.
pub(super) const PRECISION: Duration = Duration::from_millis(10);
/// The longest time from free room to the accept of a client that waits.
const MAX_ACCEPT_TIME: Duration = Duration::from_millis(5);
/// The first pause after accept errors, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// The number of last entries that a problem prints.
const LAST_ENTRIES: usize = 60;

#[derive(Clone)]
pub(crate) struct Ledger(Arc<Shared>);

struct Shared {
    clock: Clock,
    begin: Instant,
    network: Network,
    handle: OnceLock<Handle>,
    book: Mutex<Book>,
}

/// The entries, and the settings in force.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Book {
    /// By the port of the client, which is another one for each connection of a run.
    accounts: BTreeMap<u16, Account>,
    max: usize,
    times: Times,
    /// The time of the last change of `times`.
    times_since: Instant,
    /// All timeouts that were ever set.
    all_times: Vec<Times>,
    allowed: Allowed,
    sources: sources::SourceBook,
    /// Connections that are open, by the events.
    open: usize,
    /// The time at which a full server had room again.
    free_since: Instant,
    last_error: Instant,
    /// The end of the pause after the last accept error.
    paused_until: Instant,
    /// The length of the next pause, as documented: 5 ms, doubled by each error up to a second.
    pause: Duration,
    /// The time at which the server was asked to drain, or had ended.
    accepts_no_more: Option<Instant>,
    has_ended: bool,
    /// The listeners that have ended.
    lost_doors: [bool; 2],
    /// The server may abort connections on its own.
    may_abort: bool,
    is_draining: bool,
    /// The executor may drop tasks in the middle.
    drops_tasks: bool,
    sums: Sums,
    /// The limit that is active, by the events.
    limit: Option<Limit>,
    /// A task that waits for so many reads and writes of handlers.
    watcher: Option<(u64, Waker)>,
    problem: Option<String>,
    entries: VecDeque<(Instant, String)>,
}

/// Sums of the events.
#[derive(Debug, Default)]
struct Sums {
    ended: BTreeMap<&'static str, u64>,
    opened: u64,
    /// Refused before they were opened.
    refused_at_accept: u64,
    refused: u64,
    suppressed: u64,
    unsent: u64,
    bytes_in: u64,
    bytes_out: u64,
    limit_episodes: u64,
    accept_errors: u64,
    /// Failed accepts, with those that were suppressed.
    failed: u64,
    /// Open connections at the begin of the drain.
    drained: Option<usize>,
}

impl Ledger {
    pub(crate) fn new(sim: &Sim, network: Network) -> Self {
        let clock = sim.clock().clone();
        let begin = clock.now();
        let book = Book {
            accounts: BTreeMap::new(),
            max: usize::MAX,
            times: Times::default(),
            times_since: begin,
            all_times: Vec::new(),
            allowed: Allowed::default(),
            sources: sources::SourceBook::new(begin),
            open: 0,
            free_since: begin,
            last_error: begin,
            paused_until: begin,
            pause: FIRST_PAUSE,
            accepts_no_more: None,
            has_ended: false,
            lost_doors: [false; 2],
            may_abort: false,
            is_draining: false,
            drops_tasks: false,
            sums: Sums::default(),
            limit: None,
            watcher: None,
            problem: None,
            entries: VecDeque::new(),
        };
        Self(Arc::new(Shared {
            clock,
            begin,
            network,
            handle: OnceLock::new(),
            book: Mutex::new(book),
        }))
    }

    pub(crate) fn set_handle(&self, handle: Handle) {
        assert!(self.0.handle.set(handle).is_ok(), "one server for a ledger");
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.0.handle.get().expect("a server")
    }

    pub(crate) fn network(&self) -> Network {
        self.0.network
    }

    pub(crate) fn now(&self) -> Instant {
        self.0.clock.now()
    }

    pub(crate) fn set_max(&self, max: usize) {
        let now = self.now();
        let mut book = self.book();
        book.note(now, format!("at most {max} connections"));
        if book.open >= book.max {
            book.free_since = now;
        }
        book.max = max;
    }

    pub(crate) fn set_times(&self, times: Times) {
        let now = self.now();
        let mut book = self.book();
        book.note(now, format!("{times:?}"));
        book.times = times;
        book.times_since = now;
        book.all_times.push(times);
    }

    pub(crate) fn set_sources(&self, limits: SourceLimits) {
        let now = self.now();
        let book = &mut *self.book();
        book.note(now, format!("{limits:?}"));
        book.sources.set(limits, &mut book.accounts, now);
    }

    pub(crate) fn set_allowed(&self, allowed: Allowed) {
        let now = self.now();
        let mut book = self.book();
        book.note(now, format!("allowed: {allowed:?}"));
        book.allowed = allowed;
    }

    /// Records that the server is asked to drain.
    pub(crate) fn drain(&self) {
        self.book().is_draining = true;
    }

    /// Records that the server accepts no more, and checks that no client has waited in vain.
    pub(crate) fn stop_accepting(&self) {
        let now = self.now();
        let book = &mut *self.book();
        if book.accepts_no_more.is_some() {
            return;
        }
        book.accepts_no_more = Some(now);
        book.note(now, "the end of accepts");
        let (max, open, free_since) = (book.max, book.open, book.free_to_accept_since());
        let mut waits = book.accounts.values().filter(|account| {
            let connected = account.connected.filter(|_| account.waits());
            connected.is_some_and(|time| {
                now.saturating_duration_since(time.max(free_since)) > MAX_ACCEPT_TIME
            })
        });
        if open < max
            && let Some(account) = waits.next()
        {
            let port = account.port;
            book.fail(format!("client {port} was not accepted in time"));
        }
    }

    /// Records that the server may abort connections from now on.
    pub(crate) fn may_abort(&self) {
        self.book().may_abort = true;
    }

    /// Records that the executor may drop tasks in the middle, which resets their connections.
    pub(crate) fn drops_tasks(&self) {
        let mut book = self.book();
        book.drops_tasks = true;
        book.may_abort = true;
    }

    /// Records an order to end a connection, which the server has obeyed.
    pub(crate) fn order(&self, id: u64, reason: Reason) {
        let now = self.now();
        let book = &mut *self.book();
        book.note(now, format!("order for {id}: {reason}"));
        let mut accounts = book.accounts.values_mut();
        match accounts.find(|account| account.id == id) {
            Some(account) => account.orders.push((now, reason)),
            None => book.fail(format!(
                "the handle has a connection {id} that was not opened"
            )),
        }
    }

    /// Returns the numbers of the connections that are open.
    pub(crate) fn open_ids(&self) -> Vec<u64> {
        let book = self.book();
        let open = book.accounts.values().filter(|account| account.is_open());
        open.map(|account| account.id).collect()
    }

    /// Records an anonymous peer, before the server sees it.
    pub(crate) fn anonymous(&self, peer: &Peer) {
        self.with(port(peer), |account, _| account.anonymous = true);
    }

    /// Records an accepted connection, which ends a series of accept errors.
    pub(crate) fn accepted(&self) {
        self.book().pause = FIRST_PAUSE;
    }

    /// Records an accept error, after which the server pauses if it is that of a limit.
    pub(crate) fn accept_failed(&self, pauses: bool) {
        let now = self.now();
        let book = &mut *self.book();
        book.note(now, format!("an accept failed, a pause: {pauses}"));
        book.sums.accept_errors += 1;
        book.last_error = now;
        if pauses {
            book.paused_until = now + book.pause;
            book.pause = (book.pause * 2).min(MAX_PAUSE);
        }
    }

    /// Records the end of a listener, which resets the clients that wait. A listener that was stopped
    /// accepts all of them before.
    pub(crate) fn lose(&self, door: usize, was_stopped: bool) {
        let now = self.now();
        let book = &mut *self.book();
        let has_room = book.open < book.max && now > book.last_error.max(book.paused_until);
        let queued = |account: &&Account| account.door == Some(door) && account.waits();
        let lost = book
            .accounts
            .values()
            .find(queued)
            .map(|account| account.port);
        if was_stopped
            && has_room
            && let Some(port) = lost
        {
            book.fail(format!("{port} waits, and the listener is dropped"));
        }
        let accounts = book.accounts.values_mut();
        let waiting = accounts.filter(|account| account.door == Some(door) && account.waits());
        waiting.for_each(|account| account.is_lost = true);
        book.lost_doors[door] = true;
    }

    /// Records a problem, unless there is one already.
    pub(crate) fn fail(&self, problem: impl Into<String>) {
        self.book().fail(problem);
    }

    /// Returns the first problem, with the last entries.
    pub(crate) fn check(&self) -> io::Result<()> {
        let book = self.book();
        let Some(problem) = &book.problem else {
            return Ok(());
        };
        let mut text = problem.clone();
        for (time, entry) in &book.entries {
            let time = *time - self.0.begin;
            let _ = write!(text, "\n    {time:?} {entry}");
        }
        Err(io::Error::other(text))
    }

    /// Waits for `calls` reads and writes of handlers, so that what follows happens in the middle of
    /// their work. Only one task may wait.
    pub(crate) async fn busy(&self, calls: u64) {
        let mut waits = false;
        poll_fn(|cx| {
            let mut book = self.book();
            if waits && book.watcher.is_none() {
                return Poll::Ready(());
            }
            let left = book.watcher.take().map_or(calls, |(left, _)| left);
            book.watcher = Some((left, cx.waker().clone()));
            waits = true;
            Poll::Pending
        })
        .await;
    }

    /// Changes the account of a client.
    pub(super) fn with<T>(&self, port: u16, change: impl FnOnce(&mut Account, Instant) -> T) -> T {
        let now = self.now();
        change(self.book().account(port), now)
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn account(&mut self, port: u16) -> &mut Account {
        self.accounts
            .entry(port)
            .or_insert_with(|| Account::new(port))
    }

    /// Returns the time since which the accept loop has room, and no pause.
    fn free_to_accept_since(&self) -> Instant {
        self.free_since.max(self.paused_until)
    }

    /// Counts a read or a write for [`Ledger::busy`].
    fn count_call(&mut self) {
        if let Some((left, _)) = &mut self.watcher {
            *left -= 1;
            if *left == 0
                && let Some((_, waker)) = self.watcher.take()
            {
                waker.wake();
            }
        }
    }

    fn note(&mut self, now: Instant, entry: impl Into<String>) {
        if self.entries.len() == LAST_ENTRIES {
            self.entries.pop_front();
        }
        self.entries.push_back((now, entry.into()));
    }

    fn fail(&mut self, problem: impl Into<String>) {
        self.problem.get_or_insert_with(|| problem.into());
    }

    /// Records a problem unless `holds`.
    fn expect(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        if !holds {
            self.fail(problem());
        }
    }
}

/// Returns the port of the client, which identifies a connection.
pub(crate) fn port(peer: &Peer) -> u16 {
    match peer.transport() {
        Endpoint::Inet(address) => address.port(),
        other => unreachable!("the endpoint of a simulated client is {other}"),
    }
}
