//! The file of a socket exists as long as its listener, and no other file is removed.

use std::env;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, chown, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::thread;

use halves::connection::UnixName;
use halves::{Endpoint, Listener, bind};
use rustix::fs::{CWD, FileType, FlockOperation, Mode, flock, mknodat};
use smol::block_on;

use crate::unix::{backlog_of_one, dir, kind_of, listen, pair};

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).expect("a file").ino()
}

#[test]
fn the_file_exists_as_long_as_its_listener() -> io::Result<()> {
    let dir = dir();
    let path = dir.path().join("socket");
    for _ in 0..2 {
        let listeners = listen(&path)?;
        assert!(fs::symlink_metadata(&path)?.file_type().is_socket());
        drop(listeners);
        assert_eq!(fs::read_dir(dir.path())?.count(), 0);
    }
    Ok(())
}

/// The tests make their sockets there.
#[test]
fn temporary_files_may_be_anywhere() -> io::Result<()> {
    let dir = dir();
    let long = dir.path().join("a long name of a directory ".repeat(5));
    fs::create_dir(&long)?;
    let other = "unix::file::the_file_exists_as_long_as_its_listener";
    let test = Command::new(env::current_exe()?)
        .args(["--exact", other])
        .env("TMPDIR", &long)
        .output()?;
    let stdout = String::from_utf8_lossy(&test.stdout);
    assert!(stdout.contains("1 passed"), "{stdout}");
    Ok(())
}

#[test]
fn a_relative_path_is_removed_from_where_it_was_made() -> io::Result<()> {
    let dir = dir();
    let path = dir.path().join("socket");
    // From the current directory up to the root, and down from there.
    let up = "../".repeat(env::current_dir()?.components().count() - 1);
    let address = format!(
        "./{up}{}",
        path.strip_prefix("/").expect("absolute").display()
    );
    let listeners = block_on(bind(&*address))?;
    assert_eq!(
        listeners.local_addrs()[0].to_string(),
        format!("unix:{address}")
    );
    drop(listeners);
    assert!(!path.exists());
    Ok(())
}

#[test]
fn the_file_of_a_dead_server_is_replaced() -> io::Result<()> {
    let dir = dir();
    let path = dir.path().join("socket");
    // Its drop leaves the file, as a kill does.
    drop(UnixListener::bind(&path)?);
    let mut listeners = listen(&path)?;
    block_on(pair(&mut listeners, &format!("unix:{}", path.display())))?;
    drop(listeners);
    assert!(!path.exists());

    drop(UnixDatagram::bind(&path)?);
    drop(listen(&path)?);
    assert!(!path.exists());
    Ok(())
}

#[test]
fn a_living_server_keeps_its_socket() -> io::Result<()> {
    let dir = dir();
    let path = dir.path().join("socket");
    let living = UnixListener::bind(&path)?;
    let before = inode(&path);
    assert_eq!(kind_of(listen(&path)), io::ErrorKind::AddrInUse);
    assert_eq!(inode(&path), before);
    // The probe, and a new client.
    let (mut looked, _) = living.accept()?;
    assert_eq!(looked.read(&mut [0; 8])?, 0);
    let _client = UnixStream::connect(&path)?;
    living.accept()?;
    Ok(())
}

#[test]
fn a_server_of_this_library_keeps_its_socket() -> io::Result<()> {
    let dir = dir();
    let path = dir.path().join("socket");
    let mut first = listen(&path)?;
    let error = listen(&path).expect_err("it is taken");
    let line = error.to_string();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(line.starts_with("cannot listen on unix:/"), "{line}");
    block_on(async {
        let looked = first.accept().await?.expect("the one that looked");
        assert_eq!(looked.peer.endpoint(), Endpoint::Unix(UnixName::Unnamed));
        pair(&mut first, &format!("unix:{}", path.display())).await?;
        Ok(())
    })
}

#[test]
fn a_server_that_has_no_room_keeps_its_socket() -> io::Result<()> {
    let dir = dir();
    let path = dir.path().join("socket");
    let busy = backlog_of_one(&path)?;
    // One client is in the queue, and the system adds one more to a backlog.
    let clients = [UnixStream::connect(&path)?, UnixStream::connect(&path)?];
    assert_eq!(kind_of(listen(&path)), io::ErrorKind::AddrInUse);
    drop((busy, clients));
    Ok(())
}

#[test]
fn a_server_of_datagrams_keeps_its_socket() -> io::Result<()> {
    let dir = dir();
    let path = dir.path().join("socket");
    let living = UnixDatagram::bind(&path)?;
    assert_eq!(kind_of(listen(&path)), io::ErrorKind::AddrInUse);
    UnixDatagram::unbound()?.send_to(b"here", &path)?;
    assert_eq!(living.recv(&mut [0; 8])?, 4);
    Ok(())
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() -> io::Result<()> {
    let dir = dir();
    let path = dir.path().join("socket");
    fs::write(&path, "precious")?;
    let error = listen(&path).expect_err("a file is there");
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert!(error.to_string().ends_with("it is not a socket"), "{error}");
    assert_eq!(fs::read(&path)?, b"precious");

    fs::remove_file(&path)?;
    symlink(dir.path().join("nowhere"), &path)?;
    assert_eq!(kind_of(listen(&path)), io::ErrorKind::AlreadyExists);
    assert!(fs::symlink_metadata(&path)?.is_symlink());
    Ok(())
}

#[test]
fn another_file_of_the_same_name_is_not_removed() -> io::Result<()> {
    let dir = dir();
    let [path, other] = ["socket", "other"].map(|name| dir.path().join(name));
    let listeners = listen(&path)?;
    let _successor = UnixListener::bind(&other)?;
    fs::rename(&other, &path)?;
    let successor = inode(&path);
    drop(listeners);
    assert_eq!(inode(&path), successor);
    UnixStream::connect(&path)?;
    Ok(())
}

#[test]
fn a_process_about_to_listen_is_not_disturbed() -> io::Result<()> {
    let dir = dir();
    let [path, lock] = ["socket", "socket.lock"].map(|name| dir.path().join(name));
    // The file looks like one that was left behind.
    drop(UnixListener::bind(&path)?);
    let before = inode(&path);
    let held = fs::File::create(&lock)?;
    flock(&held, FlockOperation::LockExclusive)?;
    assert_eq!(kind_of(listen(&path)), io::ErrorKind::AddrInUse);
    assert_eq!(inode(&path), before);
    // A process that died without removing the lock does not hold up others.
    drop(held);
    let listeners = listen(&path)?;
    assert!(!lock.exists());
    drop(listeners);
    Ok(())
}

/// A file with the name of the lock is one only if it has the right type and owner.
#[test]
fn a_file_that_is_no_lock_is_left_alone_and_named() -> io::Result<()> {
    let dir = dir();
    let [path, lock] = ["socket", "socket.lock"].map(|name| dir.path().join(name));
    let refused = || {
        let line = listen(&path).expect_err("it is no lock").to_string();
        let named = format!(": {}: ", lock.display());
        assert!(line.contains(&named), "{line}");
        assert!(!path.exists());
    };
    fs::write(&lock, "precious")?;
    refused();
    // It is not reported as in use if its owner has locked it.
    let held = fs::File::open(&lock)?;
    flock(&held, FlockOperation::LockExclusive)?;
    refused();
    assert_eq!(fs::read(&lock)?, b"precious");
    fs::remove_file(&lock)?;

    fs::create_dir(&lock)?;
    refused();
    fs::remove_dir(&lock)?;
    symlink(dir.path().join("nowhere"), &lock)?;
    refused();
    fs::remove_file(&lock)?;
    mknodat(CWD, &lock, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    refused();
    fs::remove_file(&lock)?;

    if rustix::process::geteuid().is_root() {
        fs::write(&lock, "")?;
        chown(&lock, Some(12345), None)?;
        refused();
        assert!(lock.exists());
    }
    Ok(())
}

#[test]
fn of_many_that_replace_a_dead_server_one_does() -> io::Result<()> {
    let dir = dir();
    let path = dir.path().join("socket");
    for round in 0..200 {
        if round % 2 == 0 {
            drop(UnixListener::bind(&path)?);
        }
        let start = Barrier::new(4);
        let done = Barrier::new(4);
        let listening: usize = thread::scope(|scope| {
            let one = || {
                start.wait();
                let bound = listen(&path);
                // The listener stays until all have tried.
                done.wait();
                match &bound {
                    Ok(_) => assert!(path.exists(), "the file is still there"),
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}"),
                }
                usize::from(bound.is_ok())
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
            let counts = threads.into_iter().map(thread::ScopedJoinHandle::join);
            counts.map(|count| count.expect("no panic")).sum()
        });
        assert!(listening <= 1, "round {round}: {listening} listen");
        assert_eq!(fs::read_dir(dir.path())?.count(), 0, "round {round}");
    }
    Ok(())
}
