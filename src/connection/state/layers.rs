//! The state of layers on a connection, such as TLS: payload counts, extensions, and the cause of a
//! failure.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Record;
use crate::reason::Reason;

/// The state of layers. It is allocated on first use, so that connections without layers pay
/// nothing.
#[derive(Default)]
pub(super) struct LayerState {
    /// Halves beneath a layer count the bytes of the wire, so the halves above it count payload.
    has_layer: AtomicBool,
    payload_in: AtomicU64,
    payload_out: AtomicU64,
    /// The encoded reason of a failure in a layer, or 0.
    cause: AtomicU8,
    extensions: Mutex<Extensions>,
}

type Extensions = Vec<Arc<dyn Any + Send + Sync>>;

impl LayerState {
    pub(super) fn has_layer(&self) -> bool {
        self.has_layer.load(Ordering::Relaxed)
    }

    fn extensions(&self) -> MutexGuard<'_, Extensions> {
        self.extensions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// Makes the halves above a layer count payload. Halves beneath it count the bytes of the wire.
    pub(in crate::connection) fn add_layer(&self) {
        self.layers().has_layer.store(true, Ordering::Relaxed);
    }

    /// The bytes of payload received above all layers.
    pub(crate) fn payload_in(&self) -> u64 {
        match self.existing_layers() {
            Some(state) if state.has_layer() => state.payload_in.load(Ordering::Relaxed),
            _ => self.bytes_in(),
        }
    }

    /// The bytes of payload sent above all layers.
    pub(crate) fn payload_out(&self) -> u64 {
        match self.existing_layers() {
            Some(state) if state.has_layer() => state.payload_out.load(Ordering::Relaxed),
            _ => self.bytes_out(),
        }
    }

    /// Counts bytes that a reader returned to the handler. Called by one reader only.
    #[inline(always)]
    pub(in crate::connection) fn received_payload(&self, n: usize) {
        match self.existing_layers() {
            Some(state) if state.has_layer() => add(&state.payload_in, n),
            _ => self.received(n),
        }
    }

    /// Counts bytes that a writer took from the handler. Called by one writer only.
    #[inline(always)]
    pub(in crate::connection) fn sent_payload(&self, n: usize) {
        match self.existing_layers() {
            Some(state) if state.has_layer() => {
                add(&state.payload_out, n);
                self.unblock();
            }
            _ => self.sent(n),
        }
    }

    /// Sets the reason of a failure in a layer, unless one is set. It becomes the reason of the
    /// end, whatever the handler returns.
    pub(crate) fn set_cause(&self, reason: Reason) {
        let code = 1 + reason as u8;
        let cause = &self.layers().cause;
        let _ = cause.compare_exchange(0, code, Ordering::AcqRel, Ordering::Acquire);
    }

    pub(crate) fn cause(&self) -> Option<Reason> {
        let code = self.existing_layers()?.cause.load(Ordering::Acquire);
        Some(Reason::ALL[usize::from(code.checked_sub(1)?)])
    }

    /// Sets the value of this type, and replaces an earlier one.
    pub(in crate::connection) fn set_extension<T: Any + Send + Sync>(&self, value: T) {
        let mut extensions = self.layers().extensions();
        extensions.retain(|held| !held.is::<T>());
        // Most connections have one, or none.
        extensions.reserve_exact(1);
        extensions.push(Arc::new(value));
    }

    pub(in crate::connection) fn extension<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let extensions = self.existing_layers()?.extensions();
        let found = extensions.iter().find(|held| held.is::<T>())?;
        found.clone().downcast().ok()
    }

    /// Adds the extensions of another record, without replacing any of this one.
    pub(in crate::connection) fn copy_extensions(&self, other: &Self) {
        let Some(state) = other.existing_layers() else {
            return;
        };
        let others = state.extensions().clone();
        let mut extensions = self.layers().extensions();
        for other in others {
            let is_set =
                |held: &Arc<dyn Any + Send + Sync>| (**held).type_id() == (*other).type_id();
            if !extensions.iter().any(is_set) {
                extensions.push(other);
            }
        }
    }

    fn layers(&self) -> &LayerState {
        self.cold().layers.get_or_init(Box::default)
    }

    #[inline(always)]
    fn existing_layers(&self) -> Option<&LayerState> {
        self.cold.get()?.layers.get()
    }
}

/// Adds to a counter with a single writer, so that no read-modify-write is needed.
fn add(counter: &AtomicU64, n: usize) {
    let sum = counter.load(Ordering::Relaxed) + n as u64;
    counter.store(sum, Ordering::Relaxed);
}
