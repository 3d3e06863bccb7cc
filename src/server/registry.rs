//! The open connections of a server, the counts of those that ended, and the admission of new ones.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::Poll;

use atomic_waker::AtomicWaker;

use crate::connection::{Endpoint, Flag, Record};
use crate::limits::{Accounts, Rules, Sources};
use crate::reason::Reason;
use crate::shutdown::Shutdown;
use crate::stats::{Counters, Stats};
use crate::time::Stamp;

/// The connections of one server. The lock is taken when a connection is accepted and when it ends.
/// Reads and writes do not use it.
#[derive(Default)]
pub(super) struct Registry {
    /// Each record holds its index in here.
    live: Mutex<Vec<Arc<Record>>>,
    /// Connections that have not ended.
    open: AtomicUsize,
    /// Connections that have not left: those in `live`, and those that have ended but are not
    /// reported yet.
    entered: AtomicUsize,
    ids: AtomicU64,
    pub(super) counters: Counters,
    pub(super) admission: Admission,
    /// True while load balancers should send clients.
    pub(super) ready: AtomicBool,
    /// The addresses of the listener, while the server accepts.
    local_addrs: Mutex<Vec<Endpoint>>,
    /// Requested when the server has ended or was dropped.
    pub(super) ended: Shutdown,
    /// The waker of the accept loop or the drain while it waits for a connection to end.
    left: AtomicWaker,
}

/// Admission: the rules and the limits per source, by which the source of each connection is
/// checked.
#[derive(Default)]
pub(super) struct Admission {
    rules: RwLock<Rules>,
    accounts: Mutex<Accounts>,
}

impl Registry {
    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn enter(&self, record: &Arc<Record>) {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.entered.fetch_add(1, Ordering::AcqRel);
        let mut live = self.live();
        set_index(record, live.len());
        live.push(record.clone());
    }

    /// Removes a connection that has ended, before its bytes count in the totals: they never count
    /// twice.
    pub(super) fn end(&self, record: &Record) {
        self.open.fetch_sub(1, Ordering::AcqRel);
        let mut live = self.live();
        let index = record.registry_index.load(Ordering::Relaxed) as usize;
        let ended = live.swap_remove(index);
        if let Some(moved) = live.get(index) {
            set_index(moved, index);
        }
        drop(live);
        drop(ended);
    }

    /// Makes room for another connection, after the event of the end was emitted. The process may
    /// end as soon as the last connection has left.
    pub(super) fn leave(&self) {
        self.entered.fetch_sub(1, Ordering::AcqRel);
        self.left.wake();
    }

    pub(super) fn set_local_addrs(&self, local: Vec<Endpoint>) {
        *self.lock_local_addrs() = local;
    }

    pub(super) fn local_addrs(&self) -> Vec<Endpoint> {
        self.lock_local_addrs().clone()
    }

    fn lock_local_addrs(&self) -> MutexGuard<'_, Vec<Endpoint>> {
        self.local_addrs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    pub(super) fn stats(&self) -> Stats {
        self.counters.snapshot()
    }

    /// Returns true if fewer than `max` connections are entered.
    pub(super) fn is_below(&self, max: usize) -> bool {
        self.entered.load(Ordering::Acquire) < max
    }

    /// Waits until fewer than `max` connections are entered. Only one task may wait at a time.
    pub(super) async fn below(&self, max: usize) {
        poll_fn(|cx| {
            self.left.register(cx.waker());
            if self.is_below(max) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    pub(super) fn find(&self, id: u64) -> Option<Arc<Record>> {
        let live = self.live();
        live.iter().find(|record| record.id() == id).cloned()
    }

    /// Wakes the handlers that wait for input or for the drain.
    pub(super) fn wake_all(&self) {
        for record in self.records() {
            record.waiting().wake();
        }
    }

    /// Resets every open connection, and returns their number. A connection without a handler and
    /// without unsent bytes is closed instead, and not counted.
    pub(super) fn abort_all(&self) -> usize {
        let records = self.records();
        records.iter().filter(|record| record.cut()).count()
    }

    /// Resets every connection, except those at whose other end code was asked to end by itself.
    /// Returns the number of both.
    pub(super) fn ask_or_abort_all(&self) -> (usize, usize) {
        let (asked, others): (Vec<_>, Vec<_>) =
            (self.records().into_iter()).partition(|record| record.ask_to_end());
        let aborted = others.iter().filter(|record| record.cut()).count();
        (asked.len(), aborted)
    }

    /// Returns a copy, because wakers and links run foreign code that must not run under the lock.
    pub(super) fn records(&self) -> Vec<Arc<Record>> {
        self.live().clone()
    }

    fn live(&self) -> MutexGuard<'_, Vec<Arc<Record>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission {
    pub(super) fn set_sources(&self, sources: Sources) {
        *self.accounts() = Accounts::new(sources);
    }

    pub(super) fn set_rules(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// Checks the source, and counts the connection for it. A peer without an IP address passes.
    pub(super) fn check(&self, record: &Record, now: Stamp) -> Result<(), Reason> {
        let Some(source) = record.peer().socket_addr() else {
            return Ok(());
        };
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        if !rules.admit(source.ip()) {
            return Err(Reason::Denied);
        }
        drop(rules);
        let mut accounts = self.accounts();
        if accounts.is_on() {
            accounts.open(source, now)?;
            record.flags.set(Flag::SourceCounted);
        }
        Ok(())
    }

    /// Gives back the count of a connection that has ended.
    pub(super) fn leave(&self, record: &Record, now: Stamp) {
        // The flag is set and cleared under one lock: if a client is identified while its
        // connection ends, exactly one of the two sides gives the count back.
        let mut accounts = self.accounts();
        if record.flags.clear(Flag::SourceCounted)
            && let Some(source) = record.peer().socket_addr()
        {
            accounts.close(source, now);
        }
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets the index of a record. Indexes fit into 32 bits, as descriptors do.
#[allow(clippy::cast_possible_truncation)]
fn set_index(record: &Record, index: usize) {
    record.registry_index.store(index as u32, Ordering::Relaxed);
}
