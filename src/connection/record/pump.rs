//! What a writer keeps: sent while the handler waits, told when it is lost.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;

use super::{Flag, Record};
use crate::catch::guard;
use crate::connection::outgoing::Pump;

impl Record {
    /// The task, which may wait already, is to send what this one keeps.
    pub(in crate::connection) fn set_pump(&self, pump: Box<dyn Pump>) {
        self.seldom().pump.put(pump);
        self.flags.set(Flag::Pumped);
        self.wake();
    }

    /// The handler waits. Called at the end of each poll of the task.
    #[inline]
    pub(crate) fn pump(&self, cx: &mut Context<'_>) {
        if self.flags.has(Flag::Pumped) {
            self.pump_out(cx);
        }
    }

    #[cold]
    fn pump_out(&self, cx: &mut Context<'_>) {
        let lodging = &self.seldom().pump;
        let Some(pump) = lodging.take() else { return };
        // What panics in there is not used again, and its bytes are told as lost.
        if guard(|| pump.pump(cx)).is_ok_and(|goes_on| goes_on) {
            lodging.put_back(pump);
        }
    }

    /// A writer was dropped with so many bytes. Says so, once.
    pub(in crate::connection) fn lose(self: &Arc<Self>, bytes: usize) {
        self.seldom()
            .lost
            .fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(home) = self.home() {
            // In a drop, a panic of the observer's would have nowhere to go.
            let _ = guard(|| home.host.lost(self, bytes));
        }
    }

    /// How many bytes were dropped so.
    pub(crate) fn bytes_lost(&self) -> u64 {
        let seldom = self.seldom.get();
        seldom.map_or(0, |seldom| seldom.lost.load(Ordering::Relaxed))
    }
}
