//! Restarts that fail: the old process goes on, and says why.

use std::fs;

use rustix::process::Signal;

use super::{Generations, Program, signal_to, text};
use crate::common::{Client, Halves, halves, stuck};

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
    let other = Halves::start(&mut halves(&SERVE));
    let mut other = other;
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

/// The new process has the sockets, and is killed with the old one's refusal.
#[test]
fn a_forced_end_ends_the_new_process() {
    let program = Program::new();
    let mut server = Generations::start(&mut program.command(&SERVE), 1);
    program.replace("exec sleep 1000");
    server.signal(Signal::USR2);
    let line = server.first.wait_for("restarting pid=");
    signal_to(super::pid_in(&line), Signal::CONT);
    server.signal(Signal::TERM);
    server.signal(Signal::TERM);
    let code = server.first.code();
    assert!([Some(0), Some(143)].contains(&code), "{code:?}");
}
