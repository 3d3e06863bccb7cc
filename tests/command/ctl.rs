//! `halves ctl`, at a running server.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Output, Stdio};

use rustix::process::{Signal, geteuid};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::Value;

use crate::common::{Halves, halves, run};
use crate::control::{Controlled, controlled};
use crate::support::terminal::cooked;

fn ctl(server: &Controlled, words: &[&str]) -> Output {
    let path = server.path.to_str().expect("UTF-8");
    run(&[&["ctl", path], words].concat())
}

/// The standard output of a request that succeeds.
fn answer(server: &Controlled, words: &[&str]) -> String {
    let output = ctl(server, words);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_list_is_a_table_or_json() {
    let server = controlled(&["upper"]);
    let mut clients = [server.server.client(), server.server.client()];
    for client in &mut clients {
        client.ask("hello");
    }
    let table = answer(&server, &["list"]);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("CONN  PEER "), "{table}");
    assert!(lines[2].starts_with("   2  127.0.0.1:"), "{table}");
    assert!(lines[2].contains("  read "), "{table}");

    let json = answer(&server, &["--json", "list"]);
    let rows = json.lines().map(serde_json::from_str::<Value>);
    let ids: Vec<_> = rows.map(|row| row.expect("JSON")["id"].clone()).collect();
    assert_eq!(ids, [1, 2]);

    let stats = answer(&server, &["stats"]);
    assert!(
        stats.contains("open 2, accepted 2, in 10 B, out 10 B; ended: none\n"),
        "{stats}"
    );
    assert!(answer(&server, &["show", "2"]).contains("\n   2  127.0.0.1:"));
}

#[test]
fn orders_are_followed() {
    let mut server = controlled(&["upper"]);
    let mut clients = [server.server.client(), server.server.client()];
    for client in &mut clients {
        client.ask("hello");
    }
    assert_eq!(answer(&server, &["close", "1"]), "closed 1\n");
    server.server.wait_for("closed conn=1 ");
    assert_eq!(answer(&server, &["kill", "2"]), "killed 2\n");
    server.server.wait_for("closed conn=2 ");
    assert_eq!(answer(&server, &["reload"]), "rules 0\n");
    assert_eq!(answer(&server, &["drain"]), "draining yes\n");
    assert_eq!(server.server.code(), Some(0));
}

#[test]
fn a_failure_is_one_line_and_exit_1() {
    let mut server = controlled(&["upper"]);
    let failed = |server: &Controlled, words: &[&str]| {
        let output = ctl(server, words);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let problem = String::from_utf8(output.stderr).expect("text");
        assert_eq!(problem.lines().count(), 1, "{problem}");
        problem
    };
    assert_eq!(
        failed(&server, &["kill", "7"]),
        "halves: no connection has the number 7\n"
    );
    assert!(failed(&server, &["lst"]).ends_with("did you mean 'list'?\n"));
    assert!(failed(&server, &["--interval", "1ms", "top"]).contains("100ms to 30s"));
    server.server.end();
    assert!(failed(&server, &["list"]).ends_with("is a server with --control running?\n"));
}

#[test]
fn a_socket_of_another_user_is_named_once() {
    let server = controlled(&["upper"]);
    let path = server.path.to_str().expect("UTF-8");
    let mut command = halves(&["ctl", path, "list"]);
    if geteuid().is_root() {
        command.uid(65534);
    } else {
        fs::set_permissions(path, Permissions::from_mode(0o000)).expect("its owner may");
    }
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(
        String::from_utf8(output.stderr).expect("text"),
        format!(
            "halves: cannot connect to unix:{path}: Permission denied (os error 13); run halves ctl \
             as root or as the owner of the socket\n"
        )
    );
}

#[test]
fn bad_usage_is_exit_2() {
    for words in [
        &["ctl"][..],
        &["ctl", "/run/x"],
        &["ctl", "/run/x", ""],
        &["ctl", "/run/x", " ", "list"],
        &["ctl", "127.0.0.1:7", "list"],
        &["ctl", "/run/x", "top", "7"],
        &["ctl", "/run/x", "top", "--json"],
        &["ctl", "/run/x", "top", "--sort", "name"],
    ] {
        assert_eq!(run(words).status.code(), Some(2), "{words:?}");
    }
}

/// A reader that has ended, such as `head`.
#[test]
fn closed_output_is_exit_141_without_a_message() {
    let server = controlled(&["upper"]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let path = server.path.to_str().expect("UTF-8");
    let mut command = halves(&["ctl", path, "stats"]);
    let output = command.stdout(writer).stderr(Stdio::piped()).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(141));
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn top_prints_plain_lines_without_a_terminal_until_the_server_ends() {
    let mut server = controlled(&["upper"]);
    let mut client = server.server.client();
    client.ask("hello");
    let path = server.path.to_str().expect("UTF-8");
    let mut command = halves(&["ctl", path, "top", "--interval", "100ms"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut output = child.stdout.take().expect("a pipe");
    let mut text = String::new();
    while text.matches("open 1, accepted 1,").count() < 2 {
        let mut bytes = [0; 4096];
        let n = output.read(&mut bytes).expect("it reads");
        assert!(n > 0, "{text}");
        text.push_str(str::from_utf8(&bytes[..n]).expect("ASCII"));
    }
    assert!(!text.contains('\x1b'), "{text}");
    client.finish();
    server.server.end();
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

/// `top` on a terminal, and the text that it has shown.
struct Terminal {
    top: Halves,
    person: File,
    program: OwnedFd,
    shown: String,
}

fn top(server: &Controlled) -> Terminal {
    let (person, program) = cooked().expect("a terminal");
    set_size(&program, 12, 100);
    let path = server.path.to_str().expect("UTF-8");
    let mut command = halves(&["ctl", path, "top", "--interval", "100ms"]);
    let stdio = || program.try_clone().expect("a descriptor");
    command.stdin(stdio()).stdout(stdio());
    Terminal {
        top: Halves::start(&mut command),
        person: person.into(),
        program,
        shown: String::new(),
    }
}

fn set_size(terminal: &OwnedFd, ws_row: u16, ws_col: u16) {
    let size = Winsize {
        ws_row,
        ws_col,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).expect("a terminal");
}

impl Terminal {
    /// Reads until the terminal has shown this.
    fn wait_for(&mut self, part: &str) {
        let mut bytes = [0; 4096];
        while !self.shown.contains(part) {
            let n = self.person.read(&mut bytes).expect("a terminal");
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
    }

    fn press(&mut self, keys: &str) {
        self.shown.clear();
        self.person.write_all(keys.as_bytes()).expect("a terminal");
    }

    fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.program).expect("a terminal").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Asserts that the terminal is as before.
    fn assert_left(&mut self) {
        self.wait_for("\x1b[?25h\x1b[?1049l");
        assert_eq!(self.top.code(), Some(0), "{:?}", self.top.log);
        assert!(self.is_cooked());
    }
}

#[test]
fn top_on_a_terminal_shows_frames_sorts_and_quits() {
    let server = controlled(&["upper"]);
    let mut clients: Vec<_> = (0..20).map(|_| server.server.client()).collect();
    for client in &mut clients {
        client.ask("hello");
    }
    let mut terminal = top(&server);
    terminal.wait_for("\x1b[?1049h");
    terminal.wait_for("(by bytes)  1-7 of 20");
    assert!(!terminal.is_cooked());
    terminal.press("a");
    terminal.wait_for("(by age)  1-7 of 20");
    terminal.press("\x1b[B");
    terminal.wait_for("2-8 of 20");
    terminal.press("q");
    terminal.assert_left();
}

#[test]
fn top_follows_the_size_of_the_terminal() {
    let server = controlled(&["upper"]);
    let mut client = server.server.client();
    client.ask("hello");
    let mut terminal = top(&server);
    terminal.wait_for("DEADLINE");
    set_size(&terminal.program, 6, 40);
    terminal.top.signal(Signal::WINCH);
    terminal.wait_for(&format!(
        "\x1b[7m{:<40}\x1b[0m",
        "CONN  PEER             IDLE  WAITS"
    ));
    terminal.press("\x03");
    terminal.assert_left();
}

#[test]
fn top_restores_the_terminal_after_a_signal_and_after_the_server() {
    let mut server = controlled(&["upper"]);
    let mut terminal = top(&server);
    terminal.wait_for("of 0");
    terminal.top.signal(Signal::TERM);
    terminal.assert_left();
    let mut terminal = top(&server);
    terminal.wait_for("of 0");
    server.server.end();
    terminal.wait_for("the server has ended");
    terminal.assert_left();
}
