//! The mode of a socket's file, beside the umask of the process.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use halves::bind;
use rustix::fs::{Mode, Uid};
use smol::block_on;

use crate::support::place;
use crate::support::skip::skip;

pub(crate) fn without_a_mode_the_umask_applies() -> io::Result<()> {
    let dir = place::dir();
    let path = dir.path().join("socket");
    let group = rustix::process::getegid();
    for (umask, mode) in [(0o022, 0o755), (0o117, 0o660), (0, 0o777)] {
        let before = rustix::process::umask(Mode::from_raw_mode(umask));
        for settings in [String::new(), format!(",group={group}")] {
            let listeners = block_on(bind(format!("{}{settings}", path.display())))?;
            assert_eq!(
                fs::symlink_metadata(&path)?.mode() & 0o7777,
                mode,
                "{settings}"
            );
            drop(listeners);
        }
        rustix::process::umask(before);
    }
    Ok(())
}

/// Another user tries to connect all the time, where a file without a mode is open to everyone.
pub(crate) fn other_users_cannot_connect_before_the_mode_is_set() -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        skip(
            "other_users_cannot_connect_before_the_mode_is_set",
            "only root can change its user",
        );
        return Ok(());
    }
    let dir = place::dir();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    let path = dir.path().join("socket");
    let (begun, done) = (AtomicBool::new(false), AtomicBool::new(false));
    let before = rustix::process::umask(Mode::empty());
    thread::scope(|scope| {
        let stranger = scope.spawn(|| {
            let nobody = Uid::from_raw(65534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).expect("root can");
            let mut connected = 0;
            while !done.load(Ordering::Acquire) {
                connected += usize::from(UnixStream::connect(&path).is_ok());
                begun.store(true, Ordering::Release);
            }
            connected
        });
        while !begun.load(Ordering::Acquire) {
            thread::yield_now();
        }
        for _ in 0..10_000 {
            drop(block_on(bind(format!("{},mode=0600", path.display()))).expect("bound"));
        }
        done.store(true, Ordering::Release);
        assert_eq!(stranger.join().expect("no panic"), 0);
    });
    rustix::process::umask(before);
    Ok(())
}
