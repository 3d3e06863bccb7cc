//! Calls code from outside this crate, and turns its panics into errors.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Returns the result of `call`, or an error with the message of its panic. The values that `call`
/// was changing must not be used after a panic.
pub(crate) fn catch_panic<T>(call: impl FnOnce() -> T) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let message = payload
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| payload.downcast_ref::<String>().cloned());
        // The drop of the payload may panic, too.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        io::Error::other(message.unwrap_or_else(|| "a panic without a message".into()))
    })
}

/// Calls `f` for each item, and continues after the panic of a call. The cost is one catch for all
/// items. The iterator itself must not panic: the loop would not end.
#[cfg(all(target_os = "linux", not(halves_portable)))]
pub(crate) fn catch_each<T>(items: impl IntoIterator<Item = T>, mut f: impl FnMut(T)) {
    let mut items = items.into_iter();
    while catch_panic(|| items.by_ref().for_each(&mut f)).is_err() {}
}

/// Drops a value that may run code from outside this crate, and ignores a panic of the drop.
pub(crate) fn quietly_drop<T>(value: T) {
    let _ = catch_panic(|| drop(value));
}
