//! `--config FILE`: options of a file.

use std::fs;

use crate::common::{Halves, halves, run};
use crate::support::place;

/// A directory with a file of this text, and the path of the file.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = place::dir();
    let path = dir.path().join("halves.conf");
    fs::write(&path, text).expect("a file");
    let path = path.to_str().expect("text").to_owned();
    (dir, path)
}

#[test]
fn a_server_takes_its_options_from_a_file() {
    let text = "# A service.\nlisten 127.0.0.1:0\nlisten=127.0.0.1:0\nclose-word = bye  # ends\n\
                log logfmt\nverbose\n";
    let (_dir, path) = file(text);
    let args = ["serve", "upper", "--config", &path, "--log", "text"];
    let mut server = Halves::start(&mut halves(&args));
    server.wait_until_listening(2);
    let mut client = server.client();
    assert_eq!(client.ask("here"), "HERE");
    server.wait_for("opened ");
    assert_eq!(client.send(b"bye"), b"");
    server.end();
}

#[test]
fn options_of_exec_and_proxy_may_stand_in_a_file() {
    let (_dir, path) = file("listen 127.0.0.1:0\nhandshake-timeout 5s\n");
    let mut cat = Halves::start(&mut halves(&["exec", "--config", &path, "cat", "-u"]));
    cat.wait_until_listening(1);
    assert_eq!(cat.client().ask("here"), "here");
    let (_dir, path) = file("listen 127.0.0.1:0\nbalance least\nhealth line\n");
    let target = cat.at[0].to_string();
    let mut proxy = Halves::start(&mut halves(&["proxy", &target, "--config", &path]));
    proxy.wait_until_listening(1);
    assert_eq!(proxy.client().ask("here"), "here");
    proxy.end();
    cat.end();
}

#[test]
fn a_bad_file_is_exit_2_with_the_line() {
    for (text, problem) in [
        (
            "\n# first\nlisen 7\n",
            ":3: unknown option 'lisen'; did you mean 'listen'?",
        ),
        (
            "threads 0\n",
            ":1: threads '0': not a number from 1 to 1024",
        ),
        ("config x\n", ":1: a configuration names no other one"),
    ] {
        let (_dir, path) = file(text);
        let output = run(&["serve", "upper", "--config", &path]);
        let message = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(
            message.starts_with(&format!("halves: {path}{problem}\n")),
            "{message}"
        );
    }
}

#[test]
fn only_a_readable_file_is_a_configuration() {
    for (path, problem) in [
        ("/nosuch.conf", "No such file or directory"),
        ("/dev", "not a regular file"),
        ("/dev/zero", "not a regular file"),
    ] {
        let output = run(&["serve", "upper", "--config", path]);
        let message = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(
            message.starts_with(&format!("halves: {path}: {problem}")),
            "{message}"
        );
    }
}
