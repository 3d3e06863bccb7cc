//! Restarts that fail: the old process goes on, and says why.

use std::fs;
use std::os::unix::net::UnixStream;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, prlimit};

use super::{Generations, Program, signal_to, text};
use crate::common::{Client, Halves, halves, stuck};
use crate::support::namespace::{as_process_1, processes};
use crate::support::skip::skip;

const SERVE: [&str; 4] = ["serve", "upper", "--listen", "127.0.0.1:0"];

/// Asserts that a restart fails for a reason that contains `problem`, and that the server serves.
fn fails(server: &mut Generations, problem: &str) {
    server.signal(Signal::USR2);
    let line = server.first.wait_for("restart_failed ");
    assert!(line.contains(problem), "{line}");
    assert!(line.ends_with(" (this process goes on)"), "{line}");
    if let Some(&at) = server.first.at.first() {
        assert_eq!(Client::new(at).ask("still"), "STILL");
    }
}

#[test]
fn a_program_that_fails_leaves_the_old_process_serving() {
    let program = Program::new();
    let mut server = Generations::start(&mut program.command(&SERVE), 1);
    program.replace("exit 7");
    fails(&mut server, "the new process ended: exit status: 7");
    program.replace("kill -9 $$");
    fails(&mut server, "the new process ended: signal: 9 (SIGKILL)");
    fs::remove_file(&program.path).expect("it is there");
    fails(
        &mut server,
        &format!("{}: No such file", text(&program.path)),
    );
    fs::write(&program.path, "").expect("a file");
    fails(
        &mut server,
        &format!("{}: Permission denied", text(&program.path)),
    );
    program.repair();
    server.restart();
    server.end();
}

#[test]
fn bad_options_and_files_leave_the_old_process_serving() {
    let program = Program::new();
    let files = crate::tls::Files::new();
    let [cert, key] = files.leaf("server", &files.authority.server(&["localhost"]));
    let config = program.dir.path().join("config");
    let write = |text: String| fs::write(&config, text).expect("a file");
    write(String::new());
    let args = [&SERVE[..], &["--config", text(&config)]].concat();
    let mut server = Generations::start(&mut program.command(&args), 1);
    write("no-such-option 1\n".to_owned());
    fails(&mut server, "the new process ended: exit status: 2");
    write("allow @/no/such/file\n".to_owned());
    fails(&mut server, "the new process ended: exit status: 1");
    write(format!("tls-cert {cert}\ntls-key {key}\n"));
    fs::write(&key, "not a key").expect("a file");
    fails(&mut server, "the new process ended: exit status: 1");
    // An address that another server has.
    let mut other = Halves::start(&mut halves(&SERVE));
    other.wait_until_listening(1);
    write(format!("listen {}\n", other.at[0]));
    let args = ["serve", "upper", "--config", text(&config)];
    write("listen 127.0.0.1:0\n".to_owned());
    let mut second = Generations::start(&mut program.command(&args), 1);
    write(format!("listen 127.0.0.1:0\nlisten {}\n", other.at[0]));
    fails(&mut second, "the new process ended: exit status: 1");
    assert!(
        second.first.has_logged("is in use"),
        "{:#?}",
        second.first.log
    );
    write(String::new());
    server.restart();
    server.end();
    second.end();
}

/// The new process has all sockets when it fails.
#[test]
fn the_file_of_a_unix_socket_stays_if_the_new_process_fails() {
    let program = Program::new();
    let (config, socket) = (program.dir.path().join("config"), program.socket());
    let listen = format!("listen 127.0.0.1:0\nlisten {}\n", text(&socket));
    fs::write(&config, &listen).expect("a file");
    let args = ["serve", "upper", "--config", text(&config)];
    let mut server = Generations::start(&mut program.command(&args), 1);
    server.first.wait_for_local();
    let mut other = Halves::start(&mut halves(&SERVE));
    other.wait_until_listening(1);
    fs::write(&config, format!("{listen}listen {}\n", other.at[0])).expect("a file");
    fails(&mut server, "the new process ended: exit status: 1");
    UnixStream::connect(&socket).expect("it listens still");
    server.end();
    assert!(!socket.exists());
}

#[test]
fn a_restart_without_a_free_descriptor_names_the_limit() {
    let mut server = Generations::start(&mut halves(&SERVE), 1);
    let limit = |limit| {
        let limited = prlimit(super::pid(server.pid), Resource::Nofile, limit);
        limited.expect("a process of the same user")
    };
    let before = getrlimit(Resource::Nofile);
    // Lower than the files that are open.
    let before = limit(Rlimit {
        current: Some(4),
        ..before
    });
    server.signal(Signal::USR2);
    let line = server.first.wait_for("restart_failed ");
    assert!(line.contains("Too many open files"), "{line}");
    assert!(line.contains("(ulimit -n)"), "{line}");
    limit(before);
    server.restart();
    server.end();
}

#[test]
fn a_second_restart_is_refused_while_a_new_process_starts() {
    let program = Program::new();
    let mut server = Generations::start(&mut program.command(&SERVE), 1);
    program.replace("exec sleep 1000");
    server.signal(Signal::USR2);
    server.first.wait_for("restarting pid=");
    fails(&mut server, "a restart is under way already");
    // Other signals are handled meanwhile.
    server.signal(Signal::USR1);
    server.first.wait_for("stats ");
    // The end of the server ends the new process, too, or the log would stay open.
    server.signal(Signal::TERM);
    server
        .first
        .wait_for("restart_failed error=\"the server drains\"");
    assert_eq!(server.first.code(), Some(0));
}

/// The old process kills the shell, and not its child, which then has the sockets and the channel.
#[test]
fn a_new_process_in_a_shell_ends_with_the_restart_it_was_started_for() {
    let program = Program::new();
    let mut server = Generations::start(&mut program.command(&SERVE), 1);
    let _stuck = stuck(server.first.at[0]);
    let begin = program.dir.path().join("begin");
    program.replace(&format!(
        "(until [ -e {} ]; do sleep 0.01; done; exec {} {}) & wait",
        text(&begin),
        env!("CARGO_BIN_EXE_halves"),
        SERVE.join(" "),
    ));
    server.signal(Signal::USR2);
    server.first.wait_for("restarting pid=");
    server.signal(Signal::TERM);
    server
        .first
        .wait_for("restart_failed error=\"the server drains\"");
    fs::write(&begin, "").expect("a file");
    let problem = "halves: cannot replace the process that started this one: it goes on";
    server.first.wait_for(problem);
    assert_eq!(server.first.count("took_over"), 0);
    server.signal(Signal::TERM);
    assert_eq!(server.first.code(), Some(143));
}

#[test]
fn a_server_that_drains_is_not_restarted() {
    let mut server = Generations::start(&mut halves(&SERVE), 1);
    let _stuck = stuck(server.first.at[0]);
    server.signal(Signal::TERM);
    server.first.wait_for("draining ");
    server.signal(Signal::USR2);
    server
        .first
        .wait_for("restart_failed error=\"the server drains\"");
    server.signal(Signal::TERM);
    assert_eq!(server.first.code(), Some(143));
}

#[test]
fn a_server_of_one_connection_is_not_restarted() {
    let args = [&SERVE[..], &["--listen", "-"]].concat();
    let mut command = halves(&args);
    command.stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::null());
    let mut server = Generations::start(&mut command, 1);
    fails(&mut server, "'-' is one connection");
    drop(server.first.child().stdin.take());
    server.end();
}

/// The end of process 1 ends all processes of its container.
#[test]
fn process_1_is_not_restarted() {
    let Some(mut unshare) = as_process_1(env!("CARGO_BIN_EXE_halves")) else {
        return skip(
            "process_1_is_not_restarted",
            "no namespace of our own is allowed",
        );
    };
    let mut server = Halves::start(unshare.args(SERVE));
    server.wait_until_listening(1);
    let parent = server.child().id();
    let halves = processes().into_iter().find(|process| process.3 == parent);
    signal_to(halves.expect("a child").0, Signal::USR2);
    server.wait_for("restart_failed error=\"the end of process 1 ends the new process, too");
    assert_eq!(server.client().ask("still"), "STILL");
}

/// The variable is for the new process only.
#[test]
fn a_variable_without_a_channel_is_an_error() {
    for (value, problem) in [
        ("x", "HALVES_RESTART_FD=x: not a number"),
        ("99", "HALVES_RESTART_FD=99: it is not open"),
        ("0", "it is not a channel"),
    ] {
        let (one, _other) = std::os::unix::net::UnixStream::pair().expect("a descriptor");
        let mut command = halves(&SERVE);
        command.env("HALVES_RESTART_FD", value);
        command.stdin(std::os::fd::OwnedFd::from(one));
        crate::inherited::fails(&mut command, problem);
    }
}
