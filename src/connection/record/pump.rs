//! What a writer keeps: sent while the handler waits, told when it is lost.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;

use super::{Flag, Record};
use crate::catch::catch_panic;
use crate::connection::outgoing::Pump;

impl Record {
    /// The task, which may wait already, is to send what this one keeps.
    pub(in crate::connection) fn set_pump(&self, pump: Box<dyn Pump>) {
        self.cold().pump.put(pump);
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
        let slot = &self.cold().pump;
        let Some(pump) = slot.take() else { return };
        // What panics in there is not used again, and its bytes are told as lost.
        if catch_panic(|| pump.pump(cx)).is_ok_and(|goes_on| goes_on) {
            slot.put_back(pump);
        }
    }

    /// A writer was dropped with so many bytes. Says so, once.
    pub(in crate::connection) fn lose(self: &Arc<Self>, bytes: usize) {
        self.cold().lost.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(context) = self.context() {
            // In a drop, a panic of the observer's would have nowhere to go.
            let _ = catch_panic(|| context.host.lost(self, bytes));
        }
    }

    /// How many bytes were dropped so.
    pub(crate) fn bytes_lost(&self) -> u64 {
        let cold = self.cold.get();
        cold.map_or(0, |cold| cold.lost.load(Ordering::Relaxed))
    }
}
