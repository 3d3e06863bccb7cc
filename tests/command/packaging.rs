//! The files in `packaging`: the units of systemd, the package of Debian, and a static binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::geteuid;

use crate::common::{has, run, run_to_end};
use crate::support::place;
use crate::support::skip::skip;

const HALVES: &str = env!("CARGO_BIN_EXE_halves");
const UNITS: [&str; 2] = ["halves@.service", "halves@.socket"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn unit(name: &str) -> String {
    let path = root().join("packaging/systemd").join(name);
    fs::read_to_string(path).expect("a unit")
}

/// Runs `systemd-analyze` on the units, with the built binary. None without that program.
fn analyze(test: &str, args: &[&str], units: &[&str]) -> Option<Output> {
    if !has("systemd-analyze") {
        skip(test, "there is no systemd-analyze");
        return None;
    }
    let dir = place::dir();
    let copy = |name: &&str| {
        let path = dir.path().join(name);
        fs::write(&path, unit(name).replace("/usr/bin/halves", HALVES)).expect("a file");
        path
    };
    let units: Vec<PathBuf> = units.iter().map(copy).collect();
    Some(run_to_end(
        Command::new("systemd-analyze").args(args).args(units),
    ))
}

#[test]
fn the_units_are_valid() {
    let args = ["verify", "--man=no"];
    let Some(output) = analyze("the_units_are_valid", &args, &UNITS) else {
        return;
    };
    let complaints = String::from_utf8(output.stderr).expect("text");
    // Systemd before 253 ignores this type, and takes the one before it.
    let others = complaints.lines().filter(|line| {
        let is_older = line.ends_with("Failed to parse service type, ignoring: notify-reload");
        !is_older
    });
    assert_eq!(others.collect::<Vec<_>>(), [""; 0]);
    assert!(output.status.success(), "{complaints}");
}

#[test]
fn the_service_is_hardened() {
    let args = ["security", "--offline=true", "--threshold=16"];
    let Some(output) = analyze("the_service_is_hardened", &args, &UNITS[..1]) else {
        return;
    };
    let exposure = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{exposure}");
}

#[test]
fn the_service_starts_each_command_of_a_server() {
    let dir = place::dir();
    let conf = dir.path().join("web.conf");
    fs::write(&conf, "listen 127.0.0.1:0\n").expect("a file");
    let service = unit(UNITS[0]);
    let start = service
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let start = start.expect("a command");
    for (command, arguments) in [
        ("serve", "echo"),
        ("exec", "cat -u"),
        ("proxy", "127.0.0.1:1 --balance least"),
    ] {
        let line = start
            .replace("${COMMAND}", command)
            .replace("$ARGUMENTS", arguments)
            .replace("/etc/halves/%i.conf", conf.to_str().expect("text"));
        let words: Vec<_> = line.split(' ').collect();
        assert_eq!(words[0], "/usr/bin/halves");
        let output = run(&[&["check"], &words[1..]].concat());
        assert_eq!(output.status.code(), Some(0), "{line}: {output:?}");
    }
}

/// Runs a program to its end, in the folder of the manifest, and returns its standard output.
fn done(command: &mut Command) -> String {
    let output = run_to_end(command.current_dir(root()));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_package_of_debian_has_the_command_its_manual_and_its_units() {
    let test = "the_package_of_debian_has_the_command_its_manual_and_its_units";
    if !has("cargo-deb") || !has("dpkg-deb") {
        return skip(test, "there is no cargo-deb or dpkg-deb");
    }
    let dir = place::dir();
    let generated = root().join("packaging/generated");
    done(
        Command::new(root().join("packaging/generate"))
            .arg(HALVES)
            .arg(&generated),
    );
    // The package takes a build of the release profile, which would take long here.
    let (target, package) = (dir.path().join("target"), dir.path().join("halves.deb"));
    fs::create_dir_all(target.join("release")).expect("a folder");
    fs::copy(HALVES, target.join("release/halves")).expect("a copy");
    let mut cargo_deb = Command::new("cargo-deb");
    cargo_deb
        .args(["--no-build", "--no-strip", "--fast", "--output"])
        .arg(&package);
    cargo_deb
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_NET_OFFLINE", "true");
    done(&mut cargo_deb);
    let installed = dir.path().join("installed");
    done(
        Command::new("dpkg-deb")
            .arg("-x")
            .args([&package, &installed]),
    );
    for file in [
        "lib/systemd/system/halves@.service",
        "lib/systemd/system/halves@.socket",
        "share/bash-completion/completions/halves",
        "share/zsh/vendor-completions/_halves",
        "share/fish/vendor_completions.d/halves.fish",
        "share/man/man1/halves.1.gz",
        "share/doc/halves/copyright",
        "share/doc/halves/docs/command.md",
    ] {
        let path = installed.join("usr").join(file);
        assert!(fs::metadata(&path).is_ok_and(|it| it.len() > 100), "{file}");
    }
    let output = done(Command::new(installed.join("usr/bin/halves")).arg("check"));
    assert_eq!(output, "ok: 1 address\n");
}

/// Builds the command as `packaging/Containerfile` does, without the release profile.
fn build_static(target: &Path) -> PathBuf {
    let host = done(Command::new("rustc").arg("-vV"));
    let host = host.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.expect("a target");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--bin", "halves", "--target", host]);
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");
    cargo.env("CARGO_TARGET_DIR", target).current_dir(root());
    assert!(cargo.status().expect("it starts").success());
    target.join(host).join("debug/halves")
}

#[test]
#[ignore = "builds all crates again; cargo test --test command -- --ignored static"]
fn a_static_binary_runs_alone_in_a_folder_and_resolves_names() {
    let test = "a_static_binary_runs_alone_in_a_folder_and_resolves_names";
    if !geteuid().is_root() {
        return skip(test, "needs root, for chroot");
    }
    let program = build_static(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("static"));
    let dir = place::dir();
    fs::copy(program, dir.path().join("halves")).expect("a copy");
    fs::create_dir(dir.path().join("etc")).expect("a folder");
    fs::write(dir.path().join("etc/hosts"), "127.0.0.1 name.test\n").expect("a file");
    for (args, line) in [
        (&["check", "--listen=name.test:0"][..], "ok: 1 address\n"),
        (&["check", "--user=65534", "--group=7"], "ok: 1 address\n"),
    ] {
        let mut chroot = Command::new("chroot");
        chroot.arg(dir.path()).arg("/halves").args(args);
        assert_eq!(done(&mut chroot), line);
    }
}
