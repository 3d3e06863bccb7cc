//! Buffered writers, and layers put on a connection in use.

mod lost;
mod marks;
mod pumped;
mod threads;
mod upgrade;
