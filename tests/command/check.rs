//! `halves check`: problems that are found before a start.

use std::fs;
use std::net::TcpListener;
use std::process::Output;

use crate::common::run;
use crate::tls::Files;

/// Checks a command line. Returns the exit code, and the lines of standard error.
fn check(args: &[&str]) -> (Option<i32>, Vec<String>, Output) {
    let output = run(&[&["check"], args].concat());
    let errors = String::from_utf8(output.stderr.clone()).expect("text");
    let lines = errors.lines().map(str::to_owned).collect();
    (output.status.code(), lines, output)
}

fn assert_ok(args: &[&str], line: &str) {
    let (code, errors, output) = check(args);
    assert_eq!((code, errors), (Some(0), vec![]), "{args:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), line, "{args:?}");
}

/// Asserts exit code 1 with a line that begins so for each problem, and nothing else.
fn assert_problems(args: &[&str], problems: &[&str]) {
    let (code, errors, output) = check(args);
    assert_eq!(code, Some(1), "{errors:?}");
    assert_eq!(output.stdout, b"");
    assert_eq!(errors.len(), problems.len(), "{errors:#?}");
    for (error, problem) in errors.iter().zip(problems) {
        let is_said = error.starts_with(&format!("halves: {problem}"));
        assert!(is_said, "{error} is not {problem}");
    }
}

#[test]
fn a_good_server_is_counted_in_one_line() {
    let files = Files::new();
    let [cert, key] = files.leaf("a", &files.authority.server(&["a.test"]));
    let rules = files.write("deny", "192.0.2.0/24\n# none\n::1\n");
    let conf = files.write(
        "conf",
        &format!("listen localhost:0\ntls-cert {cert}\ntls-key {key}\ndeny @{rules}\n"),
    );
    let socket = format!("--listen={},user=root,mode=0600", files.path("x.sock"));
    assert_ok(&[], "ok: 1 address\n");
    assert_ok(
        &["--config", &conf],
        "ok: 1 address, 1 certificate, 2 rules\n",
    );
    assert_ok(
        &["serve", "echo", "--listen=7", &socket, "--allow=::1"],
        "ok: 2 addresses, 1 rule\n",
    );
    assert_ok(
        &["exec", "--config", &conf, "cat", "-x"],
        "ok: 1 address, 1 certificate, 2 rules\n",
    );
    let target = format!("localhost:1,tls,ca={}", files.ca());
    assert_ok(
        &["proxy", &target, "/no/such.sock"],
        "ok: 1 address, 2 targets\n",
    );
    assert!(fs::metadata(files.path("x.sock")).is_err(), "it listened");
    assert!(
        fs::metadata(files.path("x.sock.lock")).is_err(),
        "it locked"
    );
}

#[test]
fn an_address_is_not_listened_on() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    assert_ok(&["--listen", &taken], "ok: 1 address\n");
    assert_ok(&["--listen=fd:77", "--control=@check"], "ok: 2 addresses\n");
    assert_ok(
        &["--listen=sd-listen:web", "--ready-fd=3"],
        "ok: 1 address\n",
    );
}

#[test]
fn every_problem_has_a_line() {
    let files = Files::new();
    let rules = files.write("deny", "::1\n10.0.0.1/8\n");
    let [old, old_key] = files.leaf("old", &files.authority.expired_server(&["a.test"]));
    let missing = files.path("none.pem");
    assert_problems(
        &[
            "serve",
            "echo",
            "--listen=nosuch.invalid:7",
            "--listen=/no/x.sock",
            "--listen=/tmp/x,user=no-such-user",
            "--listen=/tmp/y,group=no-such-group",
            "--control=/no/control.sock",
            "--metrics=nosuch.invalid:8",
            "--tls-cert",
            &missing,
            "--tls-key",
            &missing,
            "--tls-cert",
            &old,
            "--tls-key",
            &old_key,
            &format!("--deny=@{rules}"),
            "--deny=@/no/rules",
        ],
        &[
            "cannot listen on nosuch.invalid:7: ",
            "cannot listen on unix:/no/x.sock: there is no directory /no",
            "cannot listen on unix:/tmp/x,user=no-such-user: there is no user called 'no-such-user'",
            "cannot listen on unix:/tmp/y,group=no-such-group: there is no group called \
             'no-such-group'",
            "cannot listen on unix:/no/control.sock,mode=0600: there is no directory /no",
            "cannot listen on nosuch.invalid:8: ",
            &format!("{missing}: No such file or directory (os error 2)"),
            &format!("{old}: the certificate expired at 2020-02-01T00:00:00Z"),
            &format!("{rules}:2: bad network '10.0.0.1/8': "),
            "/no/rules: No such file or directory (os error 2)",
        ],
    );
}

#[test]
fn rules_clients_programs_and_targets_are_checked() {
    let files = Files::new();
    let [cert, key] = files.leaf("a", &files.authority.server(&["a.test"]));
    let empty = files.write("allow", "# none\n");
    assert_problems(
        &["--allow", &format!("@{empty}")],
        &[&format!(
            "{empty}: no network in this file, and no other is allowed: every client could connect"
        )],
    );
    let args = [
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
        "--tls-client-ca",
        "/no/ca.pem",
    ];
    assert_problems(
        &args,
        &["/no/ca.pem: No such file or directory (os error 2)"],
    );
    assert_problems(
        &["exec", "no-such-program"],
        &["exec: no-such-program: not found in PATH"],
    );
    assert_problems(
        &["proxy", "nosuch.invalid:1", "localhost:1,tls,ca=/no/ca.pem"],
        &[
            "target nosuch.invalid:1: cannot resolve: ",
            "target localhost:1,tls: /no/ca.pem: No such file or directory (os error 2)",
        ],
    );
}

#[test]
fn bad_usage_is_exit_2() {
    for args in [
        &["connect", "h:1"][..],
        &["serve"],
        &["--threads=0"],
        &["--config", "/nosuch"],
    ] {
        let (code, errors, output) = check(args);
        assert_eq!((code, errors.len()), (Some(2), 2), "{errors:?}");
        assert_eq!(output.stdout, b"");
    }
}
