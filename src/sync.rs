//! What threads share: the standard library's, under a name for which the models in `loom` have
//! their own.

pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError, atomic};
#[cfg(all(target_os = "linux", not(halves_portable)))]
pub(crate) use std::thread;
