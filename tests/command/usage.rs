//! Valid arguments, and the errors of others.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output};

use rustix::process::Signal;

use crate::common::{Halves, halves, halves_after, run, serve};
use crate::support::place::dir;

/// Asserts that it failed with this code and one or two lines, and returns them.
fn complaint(output: &Output, code: i32) -> String {
    let message = String::from_utf8(output.stderr.clone()).expect("text");
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert!((1..=2).contains(&message.lines().count()), "{message}");
    assert!(
        message.lines().all(|line| line.starts_with("halves: ")),
        "{message}"
    );
    assert!(
        message.ends_with('\n') && !message.contains("panicked"),
        "{message}"
    );
    message
}

#[test]
fn bad_usage_is_exit_2_with_the_reason() {
    for (args, word) in [
        (&["serve"][..], "service"),
        (
            &["serve", "lower"],
            "upper, echo, discard, chargen, daytime and time",
        ),
        (&["serve", "upper", "extra"], "extra"),
        (&["serve", "upper", "--unknown"], "--unknown"),
        (&["serve", "upper", "--max-connections", "0"], "from 1"),
        (&["serve", "upper", "--max-connections", "x"], "from 1"),
        (&["serve", "upper", "--max-connections=-1"], "from 1"),
        (&["serve", "upper", "--threads", "0"], "from 1"),
        (&["serve", "upper", "--threads=1000000000"], "1024"),
        (&["serve", "upper", "--threads", "1025"], "1024"),
        (&["serve", "upper", "--quiet=yes"], "takes no value"),
        (&["serve", "upper", "--drain-delay", "50µs"], "50us"),
        (&["serve", "upper", "--drain-timeout", "1 day"], "500ms"),
        (&["serve", "upper", "--max-per-source", "x"], "from 0"),
        (&["serve", "upper", "--max-per-source", "40/33"], "IPv4"),
        (&["serve", "upper", "--max-per-source=4/24/129"], "IPv6"),
        (&["serve", "upper", "--max-per-source=4/2/2/2"], "N/V4/V6"),
        (&["serve", "upper", "--accept-rate", "-1"], "from 0"),
        (&["serve", "upper", "--accept-rate", "1.5"], "from 0"),
        (&["serve", "upper", "--min-rate", "1k"], "from 0"),
        (&["serve", "upper", "--handshake-timeout", ""], "500ms"),
        (&["serve", "upper", "--idle-timeout", "soon"], "500ms"),
        (&["serve", "upper", "--lifetime", "30s1m"], "500ms"),
        (&["serve", "upper", "--drain-delay", "-1s"], "500ms"),
        (&["serve", "upper", "--allow", "10.0.0.1/8"], "beyond"),
        (
            &["serve", "upper", "--deny", "host.example"],
            "192.0.2.0/24",
        ),
        (&["serve", "upper", "--deny", "@"], "no file"),
        (&["serve", "upper", "--ready-fd", "2"], "from 3"),
        (&["serve", "upper", "--ready-fd", "three"], "from 3"),
        (&["serve", "upper", "--log", "xml"], "logfmt"),
        (&["serve", "upper", "--close-word", ""], "empty"),
        (
            &["serve", "echo", "--close-word", "bye"],
            "echo has no --close-word",
        ),
        (&["serve", "upper", "-v", "-q"], "contradict"),
        (&["upper"], "did you mean 'halves serve upper'?"),
        (&["echo", "--listen=1"], "did you mean 'halves serve echo'?"),
        (&["serve", "upper", "--version"], "--version"),
        (&["lurk"], "lurk"),
        (&["--listen", "1"], "--listen"),
        (&["a\nb\u{1b}[31m"], "a b\\u{1b}[31m"),
    ] {
        let message = complaint(&run(args), 2);
        assert!(message.contains(word), "{args:?}: {message}");
    }
}

#[test]
fn a_bad_option_of_a_layer_is_exit_2_with_the_reason() {
    for (args, word) in [
        (&["--tls-cert", "a"][..], "there are 1 and 0"),
        (&["--tls-key", "a"], "there are 0 and 1"),
        (
            &["--tls-client-ca", "a"],
            "--tls-client-ca needs --tls-cert and --tls-key",
        ),
        (&["--tls-client-auth=never"], "optional"),
        (&["--tls-min", "1.1"], "write 1.2 or 1.3"),
        (&["--tls-alpn", ""], "1 to 255 bytes"),
        (&["--listen=80,tls=off"], "tls=off needs"),
        (&["--listen=80,tls=on"], "write tls=off"),
        (
            &["--listen=80,proxy=off"],
            "proxy=off needs --proxy-protocol",
        ),
        (&["--proxy-protocol=v3"], "v1, v2, any or off"),
        (&["--proxy-protocol=v2"], "needs --trust-proxy"),
        (&["--trust-proxy", "10.0.0.0/8"], "needs --proxy-protocol"),
        (
            &["--trust-proxy", "10.0.0.1/8"],
            "write 10.0.0.0/8 or 10.0.0.1",
        ),
    ] {
        let message = complaint(&run(&[&["serve", "upper"], args].concat()), 2);
        assert!(message.contains(word), "{args:?}: {message}");
    }
}

#[test]
fn an_invalid_address_is_exit_2_with_the_reason() {
    for (args, word) in [
        (&["--listen"][..], "--listen"),
        (&["--listen", "host"], "no port"),
        (&["--listen="], "empty"),
        (&["--listen", "1:2:3"], "brackets"),
        (&["--listen=x.sock"], "./PATH"),
        (&["--listen=unix:"], "no path"),
        (&["--listen=/x,mode=888"], "octal"),
        (&["--listen=/x,tls"], "mode=0660"),
        (&["--listen=80,keepalive=500ms"], "whole seconds"),
        (&["--listen=80", "--listen=80"], "is given twice"),
        (&["--listen=@x,mode=0660"], "with a path"),
        (&["--listen=fd:x"], "not a number"),
        (&["--listen", "-", "--listen=-"], "is given twice"),
        (&["--listen=-", "--listen=fd:0"], "overlap"),
        (&["--listen=fd:3", "--ready-fd=3"], "--ready-fd 3"),
        (&["--listen=fd:2"], "for the log"),
    ] {
        let message = complaint(&run(&[&["serve", "upper"], args].concat()), 2);
        assert!(message.contains(word), "{args:?}: {message}");
    }
}

/// Asserts that these arguments are bad usage, with this error.
fn refused(args: &[&str], problem: &str) {
    let message = complaint(&run(args), 2);
    let help = match args[0] {
        "serve" => "halves: run 'halves serve --help' for the services and options",
        _ => "halves: run 'halves --help' for the commands",
    };
    assert_eq!(message, format!("halves: {problem}\n{help}\n"));
}

#[test]
fn a_near_address_is_answered_with_the_right_one() {
    for (option, text, problem) in [
        ("--listen", "[::1]", "it has no port; write [::1]:PORT"),
        (
            "--listen",
            "http://localhost:80",
            "http:// is not part of an address; write localhost:80",
        ),
        (
            "--listen",
            "tcp://127.0.0.1:80",
            "tcp:// is not part of an address; write 127.0.0.1:80",
        ),
        (
            "--listen",
            "0.0.0.0:50007:",
            "there is no port after the last colon; write 0.0.0.0:50007",
        ),
        ("--listen", "*:50010", "write :50010 for every interface"),
        (
            "--allow",
            "10.0.0.1/8",
            "the address has bits beyond the prefix length; write 10.0.0.0/8 or 10.0.0.1",
        ),
    ] {
        let problem = format!("Error parsing option '{option}' with value '{text}': {problem}");
        refused(&["serve", "upper", option, text], &problem);
    }
}

#[test]
fn a_near_argument_is_answered_with_the_right_one() {
    for (args, problem) in [
        (
            &["serve", "upper", "--listen=7", "--listen=127.0.0.1:7"][..],
            "--listen 127.0.0.1:7 is given twice",
        ),
        (
            &["serve", "upper", "--listen=:7", "--listen=[::1]:7"],
            "--listen :7 and --listen [::1]:7 take the same address and port: give one of them",
        ),
        (
            &["serve"],
            "no service given; the services are upper (answers in capital letters), echo (sends back \
             what it reads), discard (reads and sends nothing), chargen (sends lines of characters \
             until the client leaves), daytime (sends the date and time in UTC as text) and time \
             (sends the seconds since 1900 in 4 bytes)",
        ),
        (
            &["serv", "upper"],
            "unknown command 'serv'; did you mean 'serve'?",
        ),
        (
            &["serve", "upper", "--lisen=7"],
            "unknown option '--lisen'; did you mean '--listen'?",
        ),
    ] {
        refused(args, problem);
    }
}

#[test]
fn arguments_that_are_not_text_are_bad_usage() {
    let mut command = halves(&["serve"]);
    let output = command.arg(OsStr::from_bytes(b"\xff")).output();
    assert!(complaint(&output.expect("it starts"), 2).contains("UTF-8"));
}

#[test]
fn an_address_that_cannot_be_listened_on_is_exit_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let too_long = format!("/tmp/{}", "x".repeat(116));
    for (address, problem) in [
        (&*taken, "in use"),
        ("192.0.2.1:50007", "192.0.2.1:50007"),
        ("nosuch.invalid:50007", "nosuch.invalid:50007"),
        (
            "/no/such/directory/x.sock",
            "there is no directory /no/such/directory",
        ),
        ("/tmp/x,user=no-such-user", "called 'no-such-user'"),
        ("fd:1000000", "it is not open"),
        ("fd:0", "it is not a socket"),
        ("sd-listen", "LISTEN_PID and LISTEN_FDS are not both set"),
        (&too_long, "has 121 bytes"),
    ] {
        let message = complaint(&run(&["serve", "upper", "--listen", address]), 1);
        assert!(
            message.contains("cannot listen on") && message.contains(problem),
            "{message}"
        );
        assert_eq!(message.lines().count(), 1);
    }
}

#[test]
fn a_failure_is_an_object_in_a_json_log() {
    let args = ["serve", "upper", "--log=json", "--listen=192.0.2.1:50007"];
    let output = run(&args);
    let message = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        message.contains(r#""event":"failed","error":"cannot listen on"#),
        "{message}"
    );
}

/// Parts of the help of `serve`.
const SERVE_HELP: &[&str] = &[
    "--listen",
    "unix:PATH",
    "mode=0660",
    "@NAME",
    "fd:N",
    "sd-listen[:NAME]",
    "inetd",
    "--drain-timeout",
    "--max-per-source",
    "--accept-rate",
    "--allow",
    "--deny",
    "--handshake-timeout",
    "--idle-timeout",
    "--lifetime",
    "--min-rate",
    "--record",
    "--record-limit",
    "--drain-delay",
    "--tls-cert",
    "--tls-key",
    "--tls-client-ca",
    "--tls-client-auth",
    "--tls-alpn",
    "--tls-min",
    "--proxy-protocol",
    "--trust-proxy",
    ",tls=off",
    ",proxy=off",
    "keepalive=30s",
    "reuse-port",
    "--threads",
    "--ready-fd",
    "--user",
    "--group",
    "--config",
    "HUP",
    "USR1",
    "USR2",
    "NOTIFY_SOCKET",
    "Examples:",
    "Exit codes:",
    "TERM",
];

#[test]
fn help_is_on_standard_output() {
    for (args, words) in [
        (
            &["--help"][..],
            &["halves serve --help", "127.0.0.1:50007"][..],
        ),
        (&["-h"], &["Usage: halves"]),
        (&["help"], &["Usage: halves"]),
        (&["serve", "--help"], SERVE_HELP),
        (&["serve", "upper", "-h"], &["Usage: halves serve"]),
    ] {
        let output = run(args);
        let help = String::from_utf8(output.stdout).expect("text");
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty());
        for word in words {
            assert!(help.contains(word), "{args:?} lacks {word}: {help}");
        }
        assert!(help.lines().all(|line| line.len() <= 100), "{help}");
    }
}

#[test]
fn the_version_is_on_standard_output() {
    for args in [&["--version"][..], &["-V"], &["serve", "--version"]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert_eq!(output.stdout, b"halves 0.1.0\n");
    }
}

#[test]
fn an_option_may_carry_its_value() {
    let mut server = serve(&["upper", "--drain-timeout=1500ms", "--max-connections=2"]);
    let mut client = server.client();
    client.ask("here");
    server.signal(Signal::TERM);
    server.wait_for("draining connections=1 deadline=1500ms (signal again to cut connections now)");
}

#[test]
fn too_few_descriptors_to_start_are_exit_1_in_one_line() {
    let halves = env!("CARGO_BIN_EXE_halves");
    for files in 5..=18 {
        let script = format!("ulimit -n {files} && exec {halves} serve upper --listen=127.0.0.1:0");
        let output = Command::new("sh").args(["-c", &script]).output();
        let message = complaint(&output.expect("it runs"), 1);
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(message.contains("open files (ulimit -n)"), "{message}");
    }
}

/// The listeners of operators have an executor and a thread of their own.
#[test]
fn too_few_descriptors_for_control_and_metrics_are_exit_1_too() {
    let folder = dir();
    let path = folder.path().join("control");
    let control = ["--control", path.to_str().expect("UTF-8")];
    let args = ["serve", "upper", "--listen=127.0.0.1:0", "--metrics=0"];
    let args = [&args[..], &control].concat();
    let serves = |files: u32| {
        let mut server = Halves::start(&mut halves_after(&format!("ulimit -n {files}"), &args));
        let serves = loop {
            let line = server.wait_for("");
            if line.ends_with(" service=metrics") || line.starts_with("halves: ") {
                break line.starts_with("listening");
            }
        };
        if serves {
            server.end();
        } else {
            assert_eq!(server.code(), Some(1));
            assert_eq!(server.log.len(), 1, "{:#?}", server.log);
        }
        assert!(!server.has_logged("admin_failed"), "{:#?}", server.log);
        serves
    };
    let served: Vec<_> = (18..=30).filter(|&files| serves(files)).collect();
    assert!(!served.contains(&18) && served.contains(&30), "{served:?}");
}
