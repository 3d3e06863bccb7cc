//! `git daemon` under `exec`, as under inetd.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::listening;
use crate::common::run_to_end;
use crate::session::lacks;
use crate::support::place;

fn git(dir: &Path, args: &[&str]) {
    let mut git = Command::new("git");
    // Without the settings of the user and of the machine.
    git.current_dir(dir)
        .env("HOME", dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
        .args(args);
    let output = run_to_end(&mut git);
    assert!(output.status.success(), "git {args:?}: {output:?}");
}

#[test]
fn git_clones_from_a_daemon_under_exec() {
    if lacks("git", "git_clones_from_a_daemon_under_exec") {
        return;
    }
    let dir = place::dir();
    let (base, source) = (dir.path().join("base"), dir.path().join("base/project"));
    fs::create_dir_all(&source).expect("a folder");
    let text = "a line\n".repeat(100_000);
    fs::write(source.join("file"), &text).expect("a file");
    git(&source, &["init", "--quiet"]);
    git(&source, &["add", "file"]);
    git(&source, &["commit", "--quiet", "--message", "one"]);
    let base = format!("--base-path={}", base.display());
    let daemon = ["git", "daemon", "--inetd", "--export-all", &base];
    let mut server = listening(&[&["exec"], &daemon[..]].concat());
    let url = format!("git://{}/project/.git", server.at[0]);
    for name in ["one", "two"] {
        git(dir.path(), &["clone", "--quiet", &url, name]);
        let cloned = fs::read_to_string(dir.path().join(name).join("file"));
        assert!(cloned.expect("a file") == text);
        let closed = server.wait_for("closed");
        assert!(closed.contains(" status=0"), "{closed}");
    }
    server.end();
}
