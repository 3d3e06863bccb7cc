//! Targets that cannot be reached, and bad usage.

use std::io::{ErrorKind, Read};

use super::{at, proxy};
use crate::common::{free_port, run, serve};

#[test]
fn without_a_target_the_client_is_reset_and_the_log_names_each() {
    let targets = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let mut relay = proxy(&[], &[&targets[0], &targets[1]]);
    let error = relay
        .client()
        .0
        .read_to_end(&mut Vec::new())
        .expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let closed = relay.wait_for("closed");
    assert!(closed.contains(" reason=refused in=0 out=0 "), "{closed}");
    for target in &targets {
        let problem = format!("cannot connect to {target}: Connection refused");
        assert!(closed.contains(&problem), "{closed}");
    }
    relay.end();
}

#[test]
fn a_target_that_refuses_is_passed_over() {
    let down = format!("127.0.0.1:{}", free_port());
    let server = serve(&["upper"]);
    let mut relay = proxy(&["--balance", "least"], &[&down, &at(&server)]);
    for _ in 0..4 {
        assert_eq!(relay.client().ask("hello"), "HELLO");
        let closed = relay.wait_for("closed");
        assert!(closed.contains(" reason=eof "), "{closed}");
    }
    relay.end();
}

#[test]
fn a_bad_file_of_a_target_is_exit_1() {
    for (settings, file) in [
        ("tls,ca=/nosuch.pem", "/nosuch.pem: "),
        ("tls,cert=/nosuch.pem,key=/nosuch.key", "/nosuch.pem: "),
    ] {
        let output = run(&["proxy", &format!("localhost:1,{settings}")]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        let problem = format!("halves: target localhost:1,tls: {file}");
        assert!(message.starts_with(&problem), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn bad_usage_is_exit_2() {
    for (args, problem) in [
        (&["proxy"][..], "no target given"),
        (&["proxy", "h:1,tls,sni=a b"], "sni"),
        (&["proxy", "h:1", "--balance", "most"], "round-robin"),
        (
            &["proxy", "h:1", "--listen=1,truncated=reset"],
            "truncated=reset needs --tls-cert",
        ),
        (
            &["serve", "upper", "--listen=1,truncated=reset"],
            "truncated=reset",
        ),
    ] {
        let output = run(args);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(problem), "{args:?}: {message}");
    }
}
