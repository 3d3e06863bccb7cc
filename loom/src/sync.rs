//! The synchronization types of loom, which try each order of steps, and each value that the memory
//! model allows for a load.

pub(crate) use std::sync::PoisonError;

pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};
pub(crate) use loom::thread;
