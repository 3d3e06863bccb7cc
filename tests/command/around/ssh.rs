//! `ssh` with `connect` as its `ProxyCommand`, to an `sshd` under `exec`.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::listening;
use crate::common::{Halves, run_to_end};
use crate::session::lacks;
use crate::support::place;
use crate::support::skip::skip;

/// The absolute path that `sshd` needs.
fn sshd() -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"];
    let paths = folders.map(|folder| Path::new(folder).join("sshd"));
    paths.into_iter().find(|path| path.is_file())
}

fn key(path: &Path) {
    let mut keygen = Command::new("ssh-keygen");
    keygen
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path);
    let output = run_to_end(&mut keygen);
    assert!(output.status.success(), "{output:?}");
}

/// Writes the keys and the settings of a server for the user of this process.
fn config(dir: &Path) -> PathBuf {
    key(&dir.join("host"));
    key(&dir.join("user"));
    fs::copy(dir.join("user.pub"), dir.join("authorized")).expect("a file");
    let config = dir.join("sshd_config");
    let text = format!(
        "HostKey {0}/host\nAuthorizedKeysFile {0}/authorized\nStrictModes no\nUsePAM no\n\
         PermitRootLogin yes\nPidFile none\n",
        dir.display()
    );
    fs::write(&config, text).expect("a file");
    config
}

#[test]
fn ssh_reaches_sshd_through_connect_and_exec() {
    let name = "ssh_reaches_sshd_through_connect_and_exec";
    if lacks("ssh", name) || lacks("ssh-keygen", name) {
        return;
    }
    let Some(sshd) = sshd() else {
        return skip(name, "there is no sshd");
    };
    // Its folder of separated privileges, which a service manager makes.
    let _ = fs::create_dir("/run/sshd");
    if !Path::new("/run/sshd").is_dir() {
        return skip(name, "there is no /run/sshd");
    }
    let dir = place::dir();
    let config = config(dir.path());
    let (sshd, config) = (sshd.display().to_string(), config.display().to_string());
    let mut server = listening(&["exec", &sshd, "-i", "-e", "-f", &config]);
    let user = dir.path().join("user");
    fs::set_permissions(&user, fs::Permissions::from_mode(0o600)).expect("a file");
    let through = format!(
        "ProxyCommand={} connect %h:%p",
        env!("CARGO_BIN_EXE_halves")
    );
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-o", &through])
        .args(["-o", "StrictHostKeyChecking=no"])
        .args(["-o", "UserKnownHostsFile=/dev/null"])
        .args(["-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-i"])
        .arg(&user)
        .args(["-p", &server.at[0].port().to_string()])
        .args(["127.0.0.1", "tr a-z A-Z"]);
    let text = "a line\n".repeat(200_000);
    let input = dir.path().join("input");
    fs::write(&input, &text).expect("a file");
    let output = dir.path().join("output");
    let child = ssh
        .stdin(File::open(&input).expect("a file"))
        .stdout(File::create(&output).expect("a file"))
        .spawn()
        .expect("it starts");
    let status = Halves::without_log(child).wait();
    assert!(status.success(), "{status} {:#?}", server.log);
    let received = fs::read_to_string(&output).expect("text");
    assert!(received == text.to_ascii_uppercase());
    let closed = server.wait_for("closed");
    assert!(closed.contains(" status="), "{closed}");
    server.end();
}
