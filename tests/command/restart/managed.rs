//! Restarts under a service manager.

use super::{Generations, Program};
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
