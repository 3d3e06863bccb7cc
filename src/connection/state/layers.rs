//! The state of layers on a connection, such as TLS: payload counts, extensions, and the cause of a
//! failure.

use std::any::Any;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::Record;
use crate::reason::Reason;

/// The state of layers. It is allocated on first use, so that connections without layers pay
/// nothing.
#[derive(Default)]
pub(super) struct LayerState {
    wire: OnceLock<WireCounts>,
    /// The encoded reason of a failure in a layer, or 0.
    cause: AtomicU8,
    extensions: Mutex<Extensions>,
}

/// The bytes of the wire, which the halves beneath the lowest layer count. The halves above a layer
/// go on to count in the record, and count payload there.
struct WireCounts {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    /// The counts of the record when the layer was added.
    clear_in: u64,
    clear_out: u64,
}

type Extensions = Vec<Arc<dyn Any + Send + Sync>>;

impl LayerState {
    fn extensions(&self) -> MutexGuard<'_, Extensions> {
        self.extensions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// Prepares for a layer. Returns true if it is the lowest one, so that the halves beneath it
    /// count the bytes of the wire.
    pub(in crate::connection) fn add_layer(&self) -> bool {
        let (clear_in, clear_out) = (self.bytes_in(), self.bytes_out());
        let counts = WireCounts {
            bytes_in: clear_in.into(),
            bytes_out: clear_out.into(),
            clear_in,
            clear_out,
        };
        self.layers().wire.set(counts).is_ok()
    }

    /// The number of bytes received from the peer, including those of handshakes.
    pub(crate) fn bytes_in(&self) -> u64 {
        let counter = self.wire().map_or(&self.bytes_in, |wire| &wire.bytes_in);
        counter.load(Ordering::Relaxed)
    }

    /// The number of bytes sent to the peer, including those of handshakes.
    pub(crate) fn bytes_out(&self) -> u64 {
        let counter = self.wire().map_or(&self.bytes_out, |wire| &wire.bytes_out);
        counter.load(Ordering::Relaxed)
    }

    /// The bytes of payload received above all layers.
    pub(crate) fn payload_in(&self) -> u64 {
        let clear = self.wire().map_or(0, |wire| wire.clear_in);
        self.bytes_in.load(Ordering::Relaxed) - clear
    }

    /// The bytes of payload sent above all layers.
    pub(crate) fn payload_out(&self) -> u64 {
        let clear = self.wire().map_or(0, |wire| wire.clear_out);
        self.bytes_out.load(Ordering::Relaxed) - clear
    }

    /// Counts bytes received beneath the lowest layer. Called by one reader only.
    pub(in crate::connection) fn received_on_wire(&self, n: usize) {
        if let Some(wire) = self.wire() {
            add(&wire.bytes_in, n);
        }
        self.note_received(n);
        // The layer may have only a part of a record.
        self.end_quiet();
    }

    /// Counts bytes sent beneath the lowest layer. A write above it may still wait. Called by one writer
    /// only.
    pub(in crate::connection) fn sent_on_wire(&self, n: usize) {
        if let Some(wire) = self.wire() {
            add(&wire.bytes_out, n);
        }
        self.note_sent(n);
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
        if others.is_empty() {
            return;
        }
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

    fn wire(&self) -> Option<&WireCounts> {
        self.existing_layers()?.wire.get()
    }

    fn existing_layers(&self) -> Option<&LayerState> {
        self.cold.get()?.layers.get()
    }
}

/// Adds to a counter with a single writer, so that no read-modify-write is needed.
fn add(counter: &AtomicU64, n: usize) {
    let sum = counter.load(Ordering::Relaxed) + n as u64;
    counter.store(sum, Ordering::Relaxed);
}
