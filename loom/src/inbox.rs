//! The eventfd of a reactor: a wake is seen before the reactor waits, or ends its wait.

use std::os::fd::AsFd;
use std::sync::Arc;

use crate::explore;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::wake_fd::WakeFd;

/// An executor's inbox, and the eventfd of its thread's reactor.
struct Inbox {
    posted: AtomicUsize,
    wake_fd: WakeFd,
}

impl Inbox {
    fn post(&self, own: bool) {
        self.posted.fetch_add(1, Ordering::Relaxed);
        self.wake_fd.wake(|| own);
    }

    /// A round of the loop: takes the notification, then the posted tasks.
    fn take(&self) -> usize {
        self.wake_fd.take();
        // Not a swap: the load may return an old value unless the eventfd orders it.
        let posted = self.posted.load(Ordering::Relaxed);
        self.posted.fetch_sub(posted, Ordering::Relaxed);
        posted
    }

    /// Returns true if a wait would end, or has ended: each write to the eventfd is an edge.
    fn wakes(&self) -> bool {
        rustix::io::read(self.wake_fd.as_fd(), &mut [0; 8]).is_ok()
    }
}

/// Two threads post and wake. The thread of the loop posts, too, which writes nothing to the
/// eventfd.
pub fn every_post_is_taken() {
    explore(3, || {
        let wake_fd = WakeFd::new().expect("an eventfd");
        let posted = AtomicUsize::new(0);
        let inbox = Arc::new(Inbox { posted, wake_fd });
        let post = || {
            let inbox = inbox.clone();
            loom::thread::spawn(move || inbox.post(false))
        };
        let threads = [post(), post()];
        let mut taken = inbox.take();
        inbox.post(true);
        while inbox.wake_fd.is_set() {
            taken += inbox.take();
        }
        // The loop waits.
        for thread in threads {
            thread.join().expect("no panic");
        }
        while inbox.wakes() {
            taken += inbox.take();
        }
        assert_eq!(taken, 3, "it sleeps on");
    });
}
