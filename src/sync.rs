//! The synchronization types of the standard library. The models in `loom` replace this module.

pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError, atomic};
#[cfg(all(target_os = "linux", not(halves_portable)))]
pub(crate) use std::thread;
