//! Limits: rules of access, limits per source, timeouts, and the default limit of connections.

mod rules;
mod sources;
mod timeouts;

use rustix::process::{Resource, getrlimit};

pub use rules::{Net, Rules};
pub(crate) use sources::Accounts;
pub use sources::Sources;
pub use timeouts::Timeouts;

/// The number of open files if the system sets no limit.
const MAX_OPEN_FILES: usize = 1_000_000;

/// Returns the number of connections that `RLIMIT_NOFILE` has room for, if each opens this many
/// files: the default of [`Server::max_connections`](crate::Server::max_connections) for 1.
///
/// A socket is one file, a child of [`Exec`](crate::service::Exec) another one, and with pipes it is
/// six at its start. An eighth of the limit, at least 24 and at most 1,024, is kept for other files:
/// standard streams, listeners, the reactor, and the files that handlers open.
///
/// # Examples
///
/// ```
/// use halves::limits::connections_for_open_files;
///
/// let server = halves::Server::default().max_connections(connections_for_open_files(2));
/// # drop(server);
/// ```
#[must_use]
pub fn connections_for_open_files(files_each: usize) -> usize {
    let soft = getrlimit(Resource::Nofile).current;
    let files = soft.map_or(MAX_OPEN_FILES, |n| {
        usize::try_from(n).unwrap_or(MAX_OPEN_FILES)
    });
    (without_reserve(files.min(MAX_OPEN_FILES)) / files_each.max(1)).max(1)
}

fn without_reserve(files: usize) -> usize {
    files.saturating_sub((files / 8).clamp(24, 1024)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_grows_with_the_limit_and_leaves_room_for_one() {
        for (files, connections) in [
            (0, 1),
            (24, 1),
            (26, 2),
            (64, 40),
            (1024, 896),
            (20_000, 18_976),
            (MAX_OPEN_FILES, 998_976),
        ] {
            assert_eq!(without_reserve(files), connections, "of {files}");
        }
    }
}
