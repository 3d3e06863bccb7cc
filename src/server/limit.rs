//! How many connections the process has descriptors for.

use rustix::process::{Resource, getrlimit};

/// Without a limit of the system's.
const UNLIMITED: usize = 1_000_000;

/// `RLIMIT_NOFILE`, less an eighth (24 at least, 1,024 at most) for everything that is not a
/// connection: standard streams, listeners, the reactor, what handlers open.
pub(super) fn from_descriptors() -> usize {
    let soft = getrlimit(Resource::Nofile).current;
    let files = soft.map_or(UNLIMITED, |n| usize::try_from(n).unwrap_or(UNLIMITED));
    less_reserve(files.min(UNLIMITED))
}

fn less_reserve(files: usize) -> usize {
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
            (UNLIMITED, 998_976),
        ] {
            assert_eq!(less_reserve(files), connections, "of {files}");
        }
    }
}
