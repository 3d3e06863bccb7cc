//! The open connections of a server, and the counts of all.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use atomic_waker::AtomicWaker;

use super::admission::Admission;
use super::listener_stats::{ListenerStats, ListenerTotals};
use super::settings::Settings;
use crate::connection::{Endpoint, Flag, Record};
use crate::limits::Sources;
use crate::reason::Reason;
use crate::shutdown::Shutdown;
use crate::stats::{Counters, Histograms, Stats, count};
use crate::time::Stamp;

/// The connections of one server. The lock is taken when a connection is accepted and when it ends.
/// Reads and writes do not use it.
#[derive(Default)]
pub(super) struct Registry {
    live: Mutex<Live>,
    /// Connections that have not ended.
    open: AtomicUsize,
    /// Connections that have not left: those in `live`, and those that have ended but are not
    /// reported yet.
    entered: AtomicUsize,
    ids: AtomicU64,
    pub(super) counters: Counters,
    pub(super) settings: Settings,
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

/// The open connections, and the counts that include those that ended. One lock has both, so the
/// bytes of a connection that ends never count twice, and are never missing.
#[derive(Default)]
struct Live {
    /// Each record holds its index in here.
    records: Vec<Arc<Record>>,
    totals: ListenerTotals,
    histograms: Histograms,
}

impl Registry {
    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts a connection that was accepted.
    pub(super) fn accept(&self, record: &Record) {
        let mut live = self.live();
        count(&self.counters.accepted, 1);
        live.totals.of(record).accept(record);
    }

    /// Counts the end of a connection that was not admitted.
    pub(super) fn refuse(&self, record: &Record, reason: Reason) {
        let mut live = self.live();
        self.counters.end(reason);
        live.totals.of(record).end(0, 0);
    }

    fn enter(&self, record: &Arc<Record>) {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.entered.fetch_add(1, Ordering::AcqRel);
        let mut live = self.live();
        set_index(record, live.records.len());
        live.records.push(record.clone());
    }

    /// Removes a connection that has ended, and counts it and its bytes.
    pub(super) fn end(&self, record: &Record, reason: Reason, age: Duration) {
        self.open.fetch_sub(1, Ordering::AcqRel);
        let mut live = self.live();
        let index = record.registry_index.load(Ordering::Relaxed) as usize;
        let ended = live.records.swap_remove(index);
        if let Some(moved) = live.records.get(index) {
            set_index(moved, index);
        }
        let (own_in, own_out) = record.own_bytes();
        live.totals.of(record).end(own_in, own_out);
        // Another process counts the whole connection.
        if reason != Reason::Handover {
            let (bytes_in, bytes_out) = (record.bytes_in(), record.bytes_out());
            live.histograms.count(age, bytes_in, bytes_out);
        }
        self.counters.end(reason);
        drop(live);
        drop(ended);
    }

    /// Makes room for another connection, after the event of the end was emitted. The process may
    /// end as soon as the last connection has left.
    pub(super) fn leave(&self) {
        self.entered.fetch_sub(1, Ordering::AcqRel);
        self.left.wake();
    }

    /// Sets the addresses of the listener when the server begins to accept.
    pub(super) fn begin(&self, local: Vec<Endpoint>) {
        self.live().totals.begin(&local);
        self.set_local_addrs(local);
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
        self.measure_lent();
        let live = self.live();
        let bytes = live.totals.bytes();
        let own = live.records.iter().map(|record| record.own_bytes());
        let (bytes_in, bytes_out) = own.fold(bytes, |(bytes_in, bytes_out), own| {
            (bytes_in + own.0, bytes_out + own.1)
        });
        self.counters.snapshot(bytes_in, bytes_out)
    }

    pub(super) fn listeners(&self) -> Vec<ListenerStats> {
        self.measure_lent();
        let live = self.live();
        let mut totals = live.totals.clone();
        for record in &live.records {
            let (own_in, own_out) = record.own_bytes();
            totals.of(record).add(own_in, own_out);
        }
        totals.into()
    }

    pub(super) fn histograms(&self) -> Histograms {
        self.live().histograms
    }

    /// Updates the counts of the connections that the kernel counts.
    fn measure_lent(&self) {
        if self.settings.lends() {
            // System calls, so not under the lock.
            self.records()
                .iter()
                .for_each(|record| record.measure_lent());
        }
    }

    /// Replaces the limits per source, and counts the open connections again.
    pub(super) fn set_sources(&self, sources: Sources) {
        self.admission.set_sources(sources, || self.records());
    }

    /// Checks and enters a connection. The real client of an anonymous one is checked later.
    pub(super) fn admit(&self, record: &Arc<Record>, now: Stamp) -> Result<(), Reason> {
        let anonymous = record.flags.has(Flag::Anonymous);
        let check = || self.admission.check(record, now);
        // Held until the connection is entered: a recount finds either both or neither.
        let _accounts = (!anonymous).then(check).transpose()?;
        self.enter(record);
        Ok(())
    }

    /// Waits until fewer connections are entered than the limit allows, or the limit is not `max`
    /// any more.
    pub(super) async fn room(&self, max: usize) {
        self.wait_until(|| {
            let limit = self.settings.max_connections();
            limit != max || self.is_below(limit)
        })
        .await;
    }

    pub(super) fn set_max_connections(&self, max: usize) {
        self.settings.set_max_connections(max);
        self.left.wake();
    }

    /// Returns true if fewer connections are entered than the limit allows.
    pub(super) fn has_room(&self) -> bool {
        self.is_below(self.settings.max_connections())
    }

    /// Returns true if fewer than `max` connections are entered.
    pub(super) fn is_below(&self, max: usize) -> bool {
        self.entered.load(Ordering::Acquire) < max
    }

    /// Waits until fewer than `max` connections are entered. Only one task may wait at a time.
    pub(super) async fn below(&self, max: usize) {
        self.wait_until(|| self.is_below(max)).await;
    }

    async fn wait_until(&self, holds: impl Fn() -> bool) {
        poll_fn(|cx| {
            self.left.register(cx.waker());
            if holds() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    pub(super) fn find(&self, id: u64) -> Option<Arc<Record>> {
        let live = self.live();
        live.records
            .iter()
            .find(|record| record.id() == id)
            .cloned()
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

    /// Resets every connection, except those with code at the other end that was asked to end by itself.
    /// Returns the number of both.
    pub(super) fn ask_or_abort_all(&self) -> (usize, usize) {
        let (asked, others): (Vec<_>, Vec<_>) =
            (self.records().into_iter()).partition(|record| record.ask_to_end());
        let aborted = others.iter().filter(|record| record.cut()).count();
        (asked.len(), aborted)
    }

    /// Returns a copy, because wakers and links run foreign code that must not run under the lock.
    pub(super) fn records(&self) -> Vec<Arc<Record>> {
        self.live().records.clone()
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets the index of a record. Indexes fit into 32 bits, as descriptors do.
#[allow(clippy::cast_possible_truncation)]
fn set_index(record: &Record, index: usize) {
    record.registry_index.store(index as u32, Ordering::Relaxed);
}
