//! Another user and group for the process.

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, setgid, setuid};

/// Changes the groups of all threads to this one.
pub(super) fn set_group(group: u32) -> Result<(), Errno> {
    let group = Gid::from_raw(group);
    #[cfg(not(target_vendor = "apple"))]
    nix::unistd::setgroups(&[group])?;
    setgid(group)
}

/// Changes the user of all threads.
pub(super) fn set_user(user: u32) -> Result<(), Errno> {
    setuid(Uid::from_raw(user))
}
