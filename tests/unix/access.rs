//! Who may connect, and who it was.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use halves::address::Access;
use halves::connection::Credentials;
use halves::{Address, Endpoint, Peer, bind};
use rustix::fs::{Mode, Uid};
use smol::block_on;

use crate::skip::skip;
use crate::{dir, listen, pair};

#[test]
fn the_mode_is_as_it_was_asked_for_whatever_the_umask() -> io::Result<()> {
    let dir = dir();
    let path = dir.path().join("socket");
    for mode in [0o600, 0o660, 0o666, 0o777, 0] {
        let access = Access::default().mode(mode);
        let address = Address::Unix {
            path: path.clone(),
            access,
        };
        let listeners = block_on(bind(address))?;
        assert_eq!(fs::symlink_metadata(&path)?.mode() & 0o7777, mode);
        drop(listeners);
    }
    Ok(())
}

/// The umask is the whole process's.
static UMASK: Mutex<()> = Mutex::new(());

#[test]
fn without_a_mode_the_umask_decides() -> io::Result<()> {
    let _alone = UMASK.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = dir();
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

/// It is tried all the time by somebody who must not, where a file that nobody cares for would be
/// open to everyone.
#[test]
fn nobody_else_connects_before_the_mode_is_set() -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        skip(
            "nobody_else_connects_before_the_mode_is_set",
            "only root can be somebody else",
        );
        return Ok(());
    }
    let dir = dir();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    let path = dir.path().join("socket");
    let _alone = UMASK.lock().unwrap_or_else(PoisonError::into_inner);
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

#[test]
fn the_owner_is_as_it_was_asked_for() -> io::Result<()> {
    let name = "the_owner_is_as_it_was_asked_for";
    if !rustix::process::geteuid().is_root() {
        skip(name, "only root gives files away");
        return Ok(());
    }
    let dir = dir();
    let path = dir.path().join("socket");
    let nobody = fs::read_to_string("/etc/passwd")?;
    let nobody = nobody.lines().find_map(|line| {
        line.strip_prefix("nobody:")?
            .split(':')
            .nth(1)?
            .parse()
            .ok()
    });
    let Some(nobody) = nobody else {
        skip(name, "there is no user called nobody");
        return Ok(());
    };
    for (settings, owner) in [
        ("user=nobody", (nobody, 0)),
        ("user=12345,group=12346,mode=0600", (12345, 12346)),
        ("group=12345", (0, 12345)),
        ("group=root", (0, 0)),
    ] {
        let listeners = block_on(bind(format!("{},{settings}", path.display())))?;
        let file = fs::symlink_metadata(&path)?;
        assert_eq!((file.uid(), file.gid()), owner, "{settings}");
        drop(listeners);
    }
    Ok(())
}

#[test]
fn who_is_not_known_cannot_own_it() -> io::Result<()> {
    let dir = dir();
    let path = dir.path().join("socket");
    for (setting, problem) in [
        (
            "user=no-such-user",
            "there is no user called 'no-such-user'",
        ),
        ("group=no-such", "there is no group called 'no-such'"),
    ] {
        let bound = block_on(bind(format!("{},{setting}", path.display())));
        let error = bound.expect_err(setting).to_string();
        assert!(error.ends_with(problem), "{error}");
        assert_eq!(fs::read_dir(dir.path())?.count(), 0);
    }
    Ok(())
}

#[test]
fn both_ends_know_whose_process_the_other_is() -> io::Result<()> {
    let dir = dir();
    let path = dir.path().join("socket");
    let mut listeners = listen(&path)?;
    let (near, far) = block_on(pair(&mut listeners, &format!("unix:{}", path.display())))?;
    for connection in [&near, &far] {
        let known = connection.peer.credentials().expect("it is a Unix socket");
        assert_eq!(known.pid, Some(std::process::id()));
        assert_eq!(known.uid, rustix::process::geteuid().as_raw());
        assert_eq!(known.gid, rustix::process::getegid().as_raw());
    }
    let peer = far.peer.clone();
    drop((near, far));
    assert!(peer.credentials().is_some(), "also when it is over");

    let mut listeners = block_on(bind("127.0.0.1:0"))?;
    let address = listeners.local_addrs()[0].to_string();
    let (near, far) = block_on(pair(&mut listeners, &address))?;
    assert_eq!(near.peer.credentials(), None);
    assert_eq!(far.peer.credentials(), None);
    Ok(())
}

#[test]
fn a_peer_in_place_of_another_is_the_same_process() -> io::Result<()> {
    let dir = dir();
    let path = dir.path().join("socket");
    let mut listeners = listen(&path)?;
    let (near, _far) = block_on(pair(&mut listeners, &format!("unix:{}", path.display())))?;
    let known = near.peer.credentials();
    let near = near.with_peer(Peer::new(Endpoint::Memory, Endpoint::Memory));
    assert!(known.is_some() && near.peer.credentials() == known);
    let other = Peer::default().with_credentials(Credentials::new(None, 1, 2));
    let near = near.with_peer(other);
    assert_eq!(near.peer.credentials(), Some(Credentials::new(None, 1, 2)));
    Ok(())
}
