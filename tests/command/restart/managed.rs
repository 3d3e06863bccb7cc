//! Restarts under a service manager.

use std::fs;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::Command;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::{Generations, Program, text};
use crate::common::{Client, halves};
use crate::inherited::{listener, with};
use crate::notify::Manager;

const SERVE: [&str; 4] = ["serve", "upper", "--listen", "127.0.0.1:0"];

/// The manager accepts messages of the main process only.
#[test]
fn the_old_process_names_the_new_one_which_is_then_ready() {
    let mut manager = Manager::at_a_path();
    let program = Program::new();
    let mut command = program.command(&SERVE);
    command.env("NOTIFY_SOCKET", &manager.name);
    let mut server = Generations::start(&mut command, 1);
    assert_eq!(manager.message()[0], "READY=1");
    for _ in 0..2 {
        let pid = server.restart();
        assert_eq!(manager.message(), [format!("MAINPID={pid}")]);
        assert_eq!(manager.message()[0], "READY=1");
        server.first.wait_for("ended ");
    }
    server.end();
    let lines = manager.rest();
    let stopping = lines.iter().filter(|line| *line == "STOPPING=1");
    assert_eq!(stopping.count(), 1, "{lines:#?}");
}

#[test]
fn the_new_process_sends_the_watchdog_messages() {
    let mut manager = Manager::at_a_path();
    let program = Program::new();
    let mut command = program.command(&SERVE);
    command
        .env("NOTIFY_SOCKET", &manager.name)
        .env("WATCHDOG_USEC", "20000");
    let mut server = Generations::start(&mut command, 1);
    manager.wait_for("WATCHDOG=1");
    let pid = server.restart();
    manager.wait_for(&format!("MAINPID={pid}"));
    manager.wait_for("READY=1");
    manager.wait_for("WATCHDOG=1");
    server.end();
}

#[test]
fn a_restart_that_fails_changes_nothing_for_the_manager() {
    let mut manager = Manager::at_a_path();
    let program = Program::new();
    let mut command = program.command(&SERVE);
    command.env("NOTIFY_SOCKET", &manager.name);
    let mut server = Generations::start(&mut command, 1);
    manager.wait_for("READY=1");
    program.replace("exit 1");
    server.signal(rustix::process::Signal::USR2);
    server.first.wait_for("restart_failed ");
    server.end();
    let lines = manager.rest();
    assert!(
        !lines.iter().any(|line| line.starts_with("MAINPID")),
        "{lines:#?}"
    );
}

/// Receives messages with descriptors, as a manager with `FileDescriptorStoreMax=` does.
fn stored(socket: &UnixDatagram) -> (String, Vec<OwnedFd>) {
    let (mut text, mut space) = ([0; 4096], [MaybeUninit::uninit(); 64]);
    let mut passed = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(&mut text)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(socket, &mut slices, &mut passed, flags).expect("a message");
    let fds = passed.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fds = fds.flatten().collect();
    let text = str::from_utf8(&text[..received.bytes]).expect("text");
    (text.to_owned(), fds)
}

/// The manager has the socket, so no client is refused, also while no process runs.
#[test]
fn a_stored_socket_outlives_the_service_and_comes_back_to_it() {
    let manager = Manager::at_a_path();
    let start = |command: &mut Command| {
        command.env("NOTIFY_SOCKET", &manager.name);
        Generations::start(command.env("FDSTORE", "9"), 1)
    };
    let mut server = start(&mut halves(&SERVE));
    let at = server.first.at[0];
    let (text, mut fds) = stored(&manager.socket);
    assert_eq!(text, "FDSTORE=1\nFDNAME=listen=127.0.0.1%3A0\n");
    let (ready, _) = stored(&manager.socket);
    assert!(ready.starts_with("READY=1\n"), "{ready}");
    server.end();
    let mut client = Client::new(at);
    let socket = fds.pop().expect("the socket");
    let shell = "exec 3<&0 0</dev/null && \
        export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=listen=127.0.0.1%3A0";
    let mut again = with(socket, shell, &["--listen", "127.0.0.1:0"]);
    let mut server = start(&mut again);
    assert_eq!(server.first.at, [at]);
    assert_eq!(client.ask("waited"), "WAITED");
    server.restart();
    assert_eq!(client.ask("stays"), "STAYS");
    assert_eq!(client.finish(), b"");
    assert_eq!(Client::new(at).ask("new"), "NEW");
    server.end();
    assert!(
        !server.first.has_logged("unused"),
        "{:#?}",
        server.first.log
    );
}

/// The manager would keep the socket, and clients of it would wait for ever.
#[test]
fn a_stored_socket_without_an_address_is_removed() {
    let manager = Manager::at_a_path();
    let shell = "exec 3<&0 0</dev/null && \
        export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=listen=127.0.0.1%3A9";
    let mut command = with(listener(), shell, &["--listen", "@halves-stored"]);
    command
        .env("NOTIFY_SOCKET", &manager.name)
        .env("FDSTORE", "9");
    let mut server = Generations::start(&mut command, 0);
    server.first.wait_for("unused ");
    let (text, _) = stored(&manager.socket);
    assert_eq!(text, "FDSTOREREMOVE=1\nFDNAME=listen=127.0.0.1%3A9\n");
    let (text, fds) = stored(&manager.socket);
    assert_eq!(text, "FDSTORE=1\nFDNAME=listen=@halves-stored\n");
    assert_eq!(fds.len(), 1);
    server.end();
}

/// systemd removes the directory of `RuntimeDirectory=` at the end of a service.
#[test]
fn a_stored_unix_socket_without_a_file_is_made_again() {
    let manager = Manager::at_a_path();
    let program = Program::new();
    let path = program.socket();
    let lost = UnixListener::bind(&path).expect("it is free");
    fs::remove_file(&path).expect("it is there");
    let name = format!("listen=unix%3A{}", text(&path));
    let shell =
        format!("exec 3<&0 0</dev/null && export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES={name}");
    let mut command = with(lost, &shell, &["--listen", text(&path)]);
    command
        .env("NOTIFY_SOCKET", &manager.name)
        .env("FDSTORE", "9");
    let mut server = Generations::start(&mut command, 0);
    server.first.wait_for_local();
    assert!(path.exists(), "it is made again");
    let (text, _) = stored(&manager.socket);
    assert_eq!(text, format!("FDSTOREREMOVE=1\nFDNAME={name}\n"));
    let (text, fds) = stored(&manager.socket);
    assert_eq!(
        (text, fds.len()),
        (format!("FDSTORE=1\nFDNAME={name}\n"), 1)
    );
    // A restart does the same.
    fs::remove_file(&path).expect("it is there");
    server.restart();
    UnixStream::connect(&path).expect("it is made again");
    server.end();
}
