//! What threads share, as loom has it: each order in which it may happen is tried, and each value
//! that the memory model lets a load have.

pub(crate) use std::sync::PoisonError;

pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};
pub(crate) use loom::thread;
