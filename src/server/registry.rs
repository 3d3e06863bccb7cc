//! The connections that are open, and the counts of those that were.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use atomic_waker::AtomicWaker;

use super::admission::Admission;
use crate::connection::{Endpoint, Record};
use crate::shutdown::Shutdown;
use crate::stats::{Counters, Stats};

/// One server's connections. Its lock is taken when one comes, and when one goes; nothing of it
/// is touched while data flows.
#[derive(Default)]
pub(super) struct Registry {
    /// Each knows its place here.
    live: Mutex<Vec<Arc<Record>>>,
    /// Connections that have not ended.
    open: AtomicUsize,
    /// And those whose end is not told yet: as `live.len()`, to be asked without its lock.
    seats: AtomicUsize,
    ids: AtomicU64,
    pub(super) counters: Counters,
    pub(super) admission: Admission,
    /// Whether new clients should be sent here.
    pub(super) ready: AtomicBool,
    /// Where the server listens, while it does.
    local: Mutex<Vec<Endpoint>>,
    /// Moves when the server has ended, or will never begin.
    pub(super) over: Shutdown,
    /// The server's loop, where it waits for a connection to end.
    ended: AtomicWaker,
}

impl Registry {
    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn enter(&self, record: &Arc<Record>) {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.seats.fetch_add(1, Ordering::AcqRel);
        let mut live = self.live();
        seat(record, live.len());
        live.push(record.clone());
    }

    /// A connection has ended, which is still to be told.
    pub(super) fn end(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    /// That was told: its place is another's. Whoever waits for it may end the process next.
    pub(super) fn leave(&self, record: &Record) {
        let mut live = self.live();
        let place = record.registry_index.load(Ordering::Relaxed) as usize;
        let left = live.swap_remove(place);
        if let Some(moved) = live.get(place) {
            seat(moved, place);
        }
        drop(live);
        drop(left);
        self.seats.fetch_sub(1, Ordering::AcqRel);
        self.ended.wake();
    }

    pub(super) fn listens(&self, local: Vec<Endpoint>) {
        *self.lock_local() = local;
    }

    pub(super) fn local_addrs(&self) -> Vec<Endpoint> {
        self.lock_local().clone()
    }

    fn lock_local(&self) -> MutexGuard<'_, Vec<Endpoint>> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    pub(super) fn stats(&self) -> Stats {
        self.counters.snapshot()
    }

    /// Whether fewer than `most` places are taken.
    pub(super) fn is_below(&self, most: usize) -> bool {
        self.seats.load(Ordering::Acquire) < most
    }

    /// Waits until that is so. For the server's loop alone.
    pub(super) async fn below(&self, most: usize) {
        poll_fn(|cx| {
            self.ended.register(cx.waker());
            if self.is_below(most) {
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

    /// Wakes the handlers that asked to hear of a drain.
    pub(super) fn tell_of_drain(&self) {
        for record in self.records() {
            record.waiting().wake();
        }
    }

    /// Resets every connection that is open, and says how many. One that its handler has ended,
    /// and that has nothing left to send, is closed instead, and not counted.
    pub(super) fn abort_all(&self) -> usize {
        let records = self.records();
        records.iter().filter(|record| record.cut()).count()
    }

    /// A copy: wakers and links run code of others, which must not find the lock taken.
    pub(super) fn records(&self) -> Vec<Arc<Record>> {
        self.live().clone()
    }

    fn live(&self) -> MutexGuard<'_, Vec<Arc<Record>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connections have descriptors, which are numbered by an `i32`, so places fit.
#[allow(clippy::cast_possible_truncation)]
fn seat(record: &Record, place: usize) {
    record.registry_index.store(place as u32, Ordering::Relaxed);
}
