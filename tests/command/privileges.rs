//! `--user` and `--group`: another user for a server that has started as root. Without root, the
//! tests of a change are skipped.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use crate::common::{Client, Halves, halves, run, run_to_end};
use crate::support::place;
use crate::support::skip::skip;

/// A user that every system has: without a login, and without files.
const NOBODY: u32 = 65534;
const NO_CAPABILITY: &str = "0000000000000000";
const LISTEN: &str = "--listen=127.0.0.1:0";

/// Returns true, and says so, if a test that needs root is skipped.
fn skipped(test: &str) -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        skip(test, "needs root");
    }
    !is_root
}

/// The values of a field in the status of each thread of a process.
fn of_threads(pid: u32, field: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
    let value = |thread: std::io::Result<fs::DirEntry>| {
        let status = thread.ok()?.path().join("status");
        let status = fs::read_to_string(status).ok()?;
        let line = status.lines().find(|line| line.starts_with(field))?;
        let values = line[field.len()..].split_whitespace();
        Some(values.collect::<Vec<_>>().join(" "))
    };
    threads.filter_map(value).collect()
}

/// Asserts that a field has one value in all threads, of which there are several.
fn assert_threads(server: &mut Halves, field: &str, value: &str) {
    let values = of_threads(server.child().id(), field);
    assert!(values.len() >= 4, "{values:?}");
    assert!(values.iter().all(|it| it == value), "{field} {values:?}");
}

fn started(command: &mut Command) -> Halves {
    let mut server = Halves::start(command);
    server.wait_until_listening(1);
    // Once it answers, it has changed its user.
    assert_eq!(server.client().ask("here"), "HERE");
    server
}

#[test]
fn every_thread_has_the_user_and_no_privileges() {
    if skipped("every_thread_has_the_user_and_no_privileges") {
        return;
    }
    let args = [
        "serve",
        "upper",
        LISTEN,
        "--threads=2",
        "--user=65534",
        "--group=7",
    ];
    let control = "--control=@halves-test-privileges";
    let mut server = started(halves(&args).arg(control));
    for (field, value) in [
        ("Uid:", "65534 65534 65534 65534"),
        ("Gid:", "7 7 7 7"),
        ("CapPrm:", NO_CAPABILITY),
        ("CapEff:", NO_CAPABILITY),
    ] {
        assert_threads(&mut server, field, value);
    }
    server.end();
}

/// An abstract socket has no file, so the credentials alone decide.
#[test]
fn the_user_may_use_the_control_socket() {
    if skipped("the_user_may_use_the_control_socket") {
        return;
    }
    let name = format!("@halves-test-user-{}", std::process::id());
    let control = ["serve", "upper", LISTEN, "--user=65534", "--group=7"];
    let mut server = started(halves(&control).args(["--control", &name]));
    for (user, code) in [(0, 0), (NOBODY, 0), (NOBODY - 1, 1)] {
        let output = run_to_end(halves(&["ctl", &name, "stats"]).uid(user));
        assert_eq!(output.status.code(), Some(code), "{user}: {output:?}");
    }
    server.end();
}

#[test]
fn a_group_alone_is_the_only_group() {
    if skipped("a_group_alone_is_the_only_group") {
        return;
    }
    let mut server = started(&mut halves(&["serve", "upper", LISTEN, "--group=7"]));
    for (field, value) in [("Uid:", "0 0 0 0"), ("Gid:", "7 7 7 7"), ("Groups:", "7")] {
        assert_threads(&mut server, field, value);
    }
    server.end();
}

#[test]
fn a_user_has_its_groups() {
    let test = "a_user_has_its_groups";
    if skipped(test) {
        return;
    }
    let dir = place::dir();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    };
    let users = write(
        "passwd",
        "root:x:0:0::/:/bin/sh\nweb:x:4711:4712::/:/bin/sh\n",
    );
    let groups = write(
        "group",
        "root:x:0:\nweb:x:4712:\nlogs:x:4713:web\nkeys:x:4714:web\n",
    );
    // The databases of users in a mount namespace of the server.
    let script = "mount --bind \"$1\" /etc/passwd && mount --bind \"$2\" /etc/group && shift 2 && \
                  exec \"$@\"";
    let within = |program: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]);
        command.args([&users, &groups]).args(program);
        command
    };
    let tried = within(&["id", "-G", "web"]).stderr(Stdio::null()).output();
    if !tried.is_ok_and(|output| output.stdout == b"4712 4713 4714\n") {
        skip(test, "mount namespaces are not allowed");
        return;
    }
    let halves = env!("CARGO_BIN_EXE_halves");
    let args = [halves, "serve", "upper", LISTEN, "--user", "web"];
    let mut server = started(&mut within(&args));
    for (field, value) in [
        ("Uid:", "4711 4711 4711 4711"),
        ("Gid:", "4712 4712 4712 4712"),
        ("Groups:", "4712 4713 4714"),
    ] {
        assert_threads(&mut server, field, value);
    }
    server.end();
    let mut server = started(within(&args).args(["--group", "keys"]));
    assert_threads(&mut server, "Gid:", "4714 4714 4714 4714");
    assert_threads(&mut server, "Groups:", "4713 4714");
    server.end();
}

#[test]
fn programs_of_exec_run_as_the_user() {
    if skipped("programs_of_exec_run_as_the_user") {
        return;
    }
    let args = [
        "exec",
        LISTEN,
        "--user=65534",
        "--group=7",
        "sh",
        "-c",
        "id -u; id -g",
    ];
    let mut server = Halves::start(&mut halves(&args));
    server.wait_until_listening(1);
    assert_eq!(server.client().rest(), b"65534\n7\n");
    server.end();
}

#[test]
fn files_are_read_before_the_change_and_reloaded_after_it() {
    if skipped("files_are_read_before_the_change_and_reloaded_after_it") {
        return;
    }
    let dir = place::dir();
    let rules = dir.path().join("deny");
    fs::write(&rules, "127.0.0.9\n").expect("a file");
    fs::set_permissions(&rules, fs::Permissions::from_mode(0o600)).expect("a file");
    let deny = format!("--deny=@{}", rules.display());
    let user = ["--user=65534", "--group=65534"];
    let mut server = started(halves(&["serve", "upper", LISTEN, &deny]).args(user));
    server.signal(Signal::HUP);
    assert!(
        server
            .wait_for("reload_failed")
            .contains("Permission denied")
    );
    let mut denied = Client::from_source([127, 0, 0, 9], server.at[0]);
    let mut answer = Vec::new();
    let _ = denied.0.read_to_end(&mut answer);
    assert!(answer.is_empty());
    server.end();
}

#[test]
fn an_unknown_user_or_group_is_exit_1() {
    for (option, problem) in [
        (
            "--user=no-such-user",
            "--user no-such-user: there is no user of this name",
        ),
        (
            "--group=no-such-group",
            "--group no-such-group: there is no group of this name",
        ),
        (
            "--user=4000000000",
            "--user 4000000000: the system has no group for this number; add --group",
        ),
        ("--user=", "--user : there is no user of this name"),
    ] {
        let line = format!("halves: {problem}\n");
        for command in [&["serve", "upper", LISTEN][..], &["check"]] {
            let output = run(&[command, &[option]].concat());
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            assert_eq!(String::from_utf8_lossy(&output.stderr), line);
        }
    }
}

/// The command at a place where each user may run it.
fn for_everyone() -> (TempDir, PathBuf) {
    let dir = place::dir();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("a directory");
    let path = dir.path().join("halves");
    fs::copy(env!("CARGO_BIN_EXE_halves"), &path).expect("a copy");
    (dir, path)
}

#[test]
fn only_root_changes_the_user() {
    if skipped("only_root_changes_the_user") {
        return;
    }
    let (_dir, program) = for_everyone();
    let as_nobody = |args: &[&str]| {
        let mut command = Command::new(&program);
        command.args(["serve", "upper", LISTEN]).args(args);
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        command
    };
    let output = run_to_end(&mut as_nobody(&["--user=1"]));
    let errors = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let problem = "cannot change the user and group: EPERM: Operation not permitted; only root can \
                   change them";
    assert!(errors.contains(problem), "{errors}");
    assert!(!errors.contains("listening"), "{errors}");
    let mut server = started(&mut as_nobody(&["--user=65534", "--group=65534"]));
    server.end();
}

#[test]
fn a_way_back_to_root_is_exit_1() {
    let test = "a_way_back_to_root_is_exit_1";
    if skipped(test) {
        return;
    }
    // The process keeps its capabilities with this bit.
    let keeping = |program: &str| {
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--securebits=+no_setuid_fixup", program]);
        setpriv
    };
    let tried = keeping("true").stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        skip(test, "setpriv cannot set a secure bit");
        return;
    }
    let mut command = keeping(env!("CARGO_BIN_EXE_halves"));
    command.args(["serve", "upper", LISTEN, "--user=65534", "--group=7"]);
    let output = run_to_end(&mut command);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let problem = "halves: the process can become root again after the change of the user\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), problem);
}
