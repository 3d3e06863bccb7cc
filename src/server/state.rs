//! What a server's loop, its connections' tasks and its handles share.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use atomic_waker::AtomicWaker;
use slab::Slab;

use super::event::{Closed, Event};
use crate::connection::{Home, Peer, Record};
use crate::stats::{Counters, Reason, Stats, count};

/// The connections that are open, and the counts of those that were.
#[derive(Default)]
pub(super) struct Registry {
    live: Mutex<Slab<Arc<Record>>>,
    /// As `live.len()`, to be asked without its lock.
    open: AtomicUsize,
    next: AtomicU64,
    pub(super) counters: Counters,
    /// The server's loop, where it waits for a connection to end.
    ended: AtomicWaker,
}

/// One serving: the registry, and what it was configured with.
pub(super) struct State {
    pub(super) registry: Arc<Registry>,
    pub(super) home: Arc<Home>,
    pub(super) observer: Option<Observer>,
}

pub(super) type Observer = Box<dyn Fn(&Event) + Send + Sync>;

/// One connection's place in the registry, given back when it is dropped.
pub(super) struct Ticket {
    state: Arc<State>,
    record: Arc<Record>,
    key: usize,
    closed: bool,
}

impl Registry {
    fn live(&self) -> MutexGuard<'_, Slab<Arc<Record>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    pub(super) fn stats(&self) -> Stats {
        self.counters.snapshot()
    }

    /// Waits until fewer than `most` connections are open. For the server's loop alone.
    pub(super) async fn below(&self, most: usize) {
        poll_fn(|cx| {
            self.ended.register(cx.waker());
            if self.open() < most {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Wakes the handlers that asked to hear of a drain.
    pub(super) fn tell_of_drain(&self) {
        for record in self.records() {
            record.drain.wake();
        }
    }

    /// Resets every connection that is open, and says how many. One that its handler has ended,
    /// and that has nothing left to send, is closed instead, and not counted.
    pub(super) fn abort_all(&self) -> usize {
        let records = self.records();
        records.iter().filter(|record| record.cut()).count()
    }

    /// A copy: wakers and links run code of others, which must not find the lock taken.
    fn records(&self) -> Vec<Arc<Record>> {
        self.live()
            .iter()
            .map(|(_, record)| record.clone())
            .collect()
    }
}

impl State {
    pub(super) fn emit(&self, event: impl FnOnce() -> Event) {
        if let Some(observer) = &self.observer {
            observer(&event());
        }
    }

    /// Takes a connection in.
    pub(super) fn admit(self: &Arc<Self>, peer: &Peer) -> Ticket {
        let record = peer.record().clone();
        let id = self.registry.next.fetch_add(1, Ordering::Relaxed) + 1;
        record.serve(id, &self.home);
        count(&self.registry.counters.accepted, 1);
        let key = {
            let mut live = self.registry.live();
            self.registry.open.fetch_add(1, Ordering::AcqRel);
            live.insert(record.clone())
        };
        self.emit(|| Event::Opened(peer.clone()));
        Ticket {
            state: self.clone(),
            record,
            key,
            closed: false,
        }
    }
}

impl Ticket {
    pub(super) fn record(&self) -> &Arc<Record> {
        &self.record
    }

    pub(super) fn home(&self) -> &Home {
        &self.state.home
    }

    /// The connection is over: for this reason, unless it was ended for another before.
    pub(super) fn close(&mut self, reason: Reason, error: Option<io::Error>) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.record.end(reason);
        // They refer to our task, which would otherwise live as long as somebody holds the peer.
        drop((self.record.task.take(), self.record.drain.take()));
        self.record.release();
        let reason = self.record.reason().unwrap_or(reason);
        let registry = &self.state.registry;
        registry
            .counters
            .end(reason, self.record.bytes_in(), self.record.bytes_out());
        let record = {
            let mut live = registry.live();
            registry.open.fetch_sub(1, Ordering::AcqRel);
            live.remove(self.key)
        };
        self.state.emit(|| {
            let now = self.state.home.clock.now();
            Event::Closed(Closed {
                peer: Peer::of(&record),
                reason,
                error,
                age: record.opened().map_or_else(Default::default, |at| now - at),
            })
        });
        registry.ended.wake();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.closed {
            self.record.abort(Reason::Aborted);
            self.close(Reason::Aborted, None);
        }
    }
}
