//! The environment variables of a service manager are not inherited by child processes. The
//! environment is changed only in a process with one thread.

#[allow(dead_code, reason = "the command uses all of it")]
#[path = "../../src/cli/inherited.rs"]
mod inherited;

use std::env;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::fs::fstat;
use rustix::process::{PidfdFlags, getpid, pidfd_open};

/// Set in the process that has received a socket.
const INSIDE_VARIABLE: &str = "HALVES_TEST_INSIDE";
/// The inode of the pidfd of a process. It stays the same across an exec.
const ID: &str = "LISTEN_PIDFDID";

pub(crate) fn variables_of_the_service_manager_are_not_inherited() {
    if env::var_os(INSIDE_VARIABLE).is_some() {
        if env::var_os(ID).is_some() {
            return inside();
        }
        let this = pidfd_open(getpid(), PidfdFlags::empty()).and_then(fstat);
        let id = this.map_or(1, |this| this.st_ino);
        let mut again = Command::new(env::current_exe().expect("a path"));
        panic!("{}", again.env(ID, id.to_string()).exec());
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let script = "exec 3<&0 0</dev/null && export LISTEN_PID=$$ && exec \"$0\"";
    let status = Command::new("sh")
        .args(["-c", script])
        .arg(env::current_exe().expect("a path"))
        .envs([
            (INSIDE_VARIABLE, "1"),
            ("LISTEN_FDS", "1"),
            ("LISTEN_FDNAMES", "x"),
        ])
        .stdin(OwnedFd::from(listener))
        .status();
    assert!(status.expect("it starts").success());
}

fn inside() {
    assert!(environment_of_a_child().contains("LISTEN_PID="), "so far");
    assert!(inherited::receive_descriptors().is_none());
    let environment = environment_of_a_child();
    assert!(environment.contains(INSIDE_VARIABLE), "the rest stays");
    assert!(!environment.contains("LISTEN_"), "{environment}");
    // The child does not inherit the socket. This process can still listen on it.
    let sockets = "for n in /proc/$$/fd/*; do readlink $n; done | grep -c socket: || true";
    assert_eq!(stdout_of(Command::new("sh").args(["-c", sockets])), "0\n");
    smol::block_on(halves::bind("sd-listen:x")).expect("it is ours");
}

fn environment_of_a_child() -> String {
    stdout_of(&mut Command::new("env"))
}

/// With the standard library, as the commands of this library may start threads.
fn stdout_of(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}
