//! curl as a client. `upper` and `echo` answer its requests with what HTTP 0.9 is: bytes until the
//! end. An idle timeout ends the connection.

use std::fs;
use std::process::{Command, Output};

use super::Files;
use crate::common::{Halves, run_to_end};
use crate::session::lacks;
use crate::support::pki::{Authority, Leaf};

/// Runs curl with a request to a host on the server's port.
fn curl(server: &Halves, host: &str, args: &[&str]) -> Output {
    let port = server.at[0].port();
    let mut curl = Command::new("curl");
    // -q: without the user's settings.
    curl.args([
        "-q",
        "--silent",
        "--show-error",
        "--http0.9",
        "--noproxy",
        "*",
    ])
    .args(["--resolve", &format!("{host}:{port}:127.0.0.1")])
    .args([
        "--header",
        "Host: example",
        "--user-agent",
        "",
        "--header",
        "Accept:",
    ])
    .args(args)
    .arg(format!("https://{host}:{port}/"));
    run_to_end(&mut curl)
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it has exited")
}

#[test]
fn curl_accepts_the_right_certificate_only() {
    if lacks("curl", "curl_accepts_the_right_certificate_only") {
        return;
    }
    let files = Files::new();
    let foreign = Authority::new("Another CA").pem();
    let (ca, foreign) = (files.ca(), files.write("foreign.pem", &foreign));
    let mut server = files.serve(&["upper", "--idle-timeout", "1s"]);
    let ca = &["--cacert", &ca][..];
    for args in [
        ca,
        &[ca, &["--tls-max", "1.2"]].concat(),
        &["--insecure", "--tlsv1.3"],
    ] {
        let output = curl(&server, "localhost", args);
        assert_eq!(code(&output), 0, "{output:?}");
        let answer = b"GET / HTTP/1.1\r\nHOST: EXAMPLE\r\n\r\n";
        assert_eq!(output.stdout, answer, "{output:?}");
        let closed = server.wait_for("closed");
        assert!(closed.contains(" reason=idle "), "{closed}");
    }
    for (host, args, problem) in [
        (
            "localhost",
            &["--cacert", &foreign][..],
            "issuer certificate",
        ),
        ("other.example", ca, "alternative certificate subject name"),
    ] {
        let output = curl(&server, host, args);
        // In older versions 51 is a wrong name.
        assert!([51, 60].contains(&code(&output)), "{output:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(problem), "{error}");
    }
    // curl sends an alert about an unknown CA, and simply leaves for another name.
    let refused = server.wait_for("refused");
    let end = " reason=tls error=\"alert from the peer: unknown_ca\"";
    assert!(refused.ends_with(end), "{refused}");
    server.wait_for("closed");
    server.end();
}

#[test]
fn curl_refuses_a_certificate_that_nothing_vouches_for() {
    let name = "curl_refuses_a_certificate_that_nothing_vouches_for";
    if lacks("curl", name) {
        return;
    }
    let files = Files::new();
    let [cert, key] = files.leaf("self", &Leaf::self_signed(&["localhost"]));
    let args = ["upper", "--tls-cert", &cert, "--tls-key", &key];
    let mut server = crate::common::serve(&args);
    let output = curl(&server, "localhost", &["--cacert", &files.ca()]);
    assert_eq!(code(&output), 60, "{output:?}");
    server.wait_for("refused");
}

#[test]
fn curl_with_another_version_or_without_a_certificate_fails() {
    let name = "curl_with_another_version_or_without_a_certificate_fails";
    if lacks("curl", name) {
        return;
    }
    let files = Files::new();
    let ca = files.ca();
    let [cert, key] = files.leaf("client", &files.authority.client("one"));
    let args = ["upper", "--tls-min=1.3", "--idle-timeout=1s"];
    let mut server = files.serve(&[&args[..], &["--tls-client-ca", &ca]].concat());
    let trusting = ["--cacert", &ca];
    let old = curl(
        &server,
        "localhost",
        &[&trusting[..], &["--tls-max", "1.2"]].concat(),
    );
    assert_eq!(code(&old), 35, "{old:?}");
    server.wait_for("refused");
    let without = curl(&server, "localhost", &trusting);
    assert_eq!(code(&without), 56, "{without:?}");
    let refused = server.wait_for("refused");
    assert!(refused.contains("peer sent no certificate"), "{refused}");
    let own = ["--cert", &cert, "--key", &key];
    let good = curl(&server, "localhost", &[&trusting[..], &own].concat());
    assert_eq!(code(&good), 0, "{good:?}");
}

#[test]
fn curl_uploads_much_and_gets_it_back() {
    if lacks("curl", "curl_uploads_much_and_gets_it_back") {
        return;
    }
    let files = Files::new();
    let text = "some line of text\n".repeat(100_000);
    let (sent, ca) = (files.write("sent", &text), files.ca());
    let received = files.path("received");
    let server = files.serve(&["echo", "--idle-timeout", "1s"]);
    let data = format!("@{sent}");
    let transfer = [
        "--header",
        "Expect:",
        "--data-binary",
        &data,
        "--output",
        &received,
    ];
    let output = curl(
        &server,
        "localhost",
        &[&["--cacert", &ca], &transfer[..]].concat(),
    );
    assert_eq!(code(&output), 0, "{output:?}");
    let received = fs::read_to_string(received).expect("text");
    let (head, body) = received.split_once("\r\n\r\n").expect("a header");
    assert!(head.starts_with("POST / HTTP/1.1\r\n"), "{head}");
    assert!(body == text, "{} of {} bytes", body.len(), text.len());
}
