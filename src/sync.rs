//! What threads share: the standard library's, under a name for which the models in `loom` have
//! their own.

pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError, atomic};
