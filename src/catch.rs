//! Calls code of others, and turns its panics into errors.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The result of `call`, or the message of its panic. What `call` was working on is not to be
/// used after a panic.
pub(crate) fn catch_panic<T>(call: impl FnOnce() -> T) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let message = payload
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| payload.downcast_ref::<String>().cloned());
        // The payload's own drop may panic, too.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        io::Error::other(message.unwrap_or_else(|| "a panic without a message".into()))
    })
}

/// Does this to each, also to those that come after one with which it panics. That costs nothing for
/// each, and little for all. A panic in the iterator itself would be met for ever.
#[cfg(all(target_os = "linux", not(halves_portable)))]
pub(crate) fn catch_each<T>(each: impl IntoIterator<Item = T>, mut does: impl FnMut(T)) {
    let mut left = each.into_iter();
    while catch_panic(|| left.by_ref().for_each(&mut does)).is_err() {}
}

/// Drops what may have code of others in its drop, where a panic would have nowhere to go.
pub(crate) fn quietly_drop<T>(value: T) {
    let _ = catch_panic(|| drop(value));
}
