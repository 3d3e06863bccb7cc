//! The owner, group and mode of a socket's file, and the credentials of a peer.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use halves::address::Access;
use halves::connection::Credentials;
use halves::{Address, Endpoint, Peer, bind};
use smol::block_on;

use crate::support::skip::skip;
use crate::unix::{dir, listen, pair};

#[test]
fn the_mode_is_the_requested_one_whatever_the_umask() -> io::Result<()> {
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

#[test]
fn the_owner_is_the_requested_one() -> io::Result<()> {
    let name = "the_owner_is_the_requested_one";
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
fn an_unknown_user_or_group_is_an_error() -> io::Result<()> {
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
fn both_ends_have_the_credentials_of_the_other() -> io::Result<()> {
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
fn a_replaced_peer_keeps_its_credentials() -> io::Result<()> {
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
