//! Signals are left to the standard library.

/// The standard library resets what is needed.
#[derive(Clone, Debug, Default)]
pub(super) struct Dispositions;

/// Does nothing: exit statuses are lost if this process ignores `SIGCHLD`.
pub(super) fn keep_exit_statuses() {}
