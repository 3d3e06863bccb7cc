//! An HTTP server of Python behind `proxy`, which has TLS for it.

use std::fs;
use std::process::Command;

use super::{listening, other};
use crate::common::{Client, run_to_end};
use crate::session::lacks;
use crate::tls::Files;

/// More than all sockets on the way buffer.
const LINES: usize = 500_000;

#[test]
fn curl_reads_a_file_of_http_server_over_tls() {
    let name = "curl_reads_a_file_of_http_server_over_tls";
    if lacks("curl", name) || lacks("python3", name) {
        return;
    }
    let text = "a line of a file\n".repeat(LINES);
    let http = other(|at, dir| {
        fs::write(dir.join("file.txt"), &text).expect("a file");
        let mut python = Command::new("python3");
        python
            .args(["-m", "http.server", "--bind", &at.ip().to_string()])
            .arg("--directory")
            .arg(dir)
            .arg(at.port().to_string());
        python
    });
    drop(Client::connect_in_time(http.at));
    let files = Files::new();
    let options = files.options("server", &["localhost"]);
    let target = http.at.to_string();
    let words = options.each_ref().map(String::as_str);
    let mut relay = listening(&[&["proxy"], &words[..], &[&target]].concat());
    let port = relay.at[0].port();
    let received = files.path("received");
    // Two requests on one connection, then one on another.
    for count in [2, 1] {
        let mut curl = Command::new("curl");
        curl.args(["-q", "--silent", "--show-error", "--fail", "--noproxy", "*"])
            .args(["--cacert", &files.ca()]);
        for _ in 0..count {
            curl.arg(format!("https://localhost:{port}/file.txt"))
                .args(["--output", &received]);
        }
        let output = run_to_end(curl.args(["--resolve", &format!("localhost:{port}:127.0.0.1")]));
        assert!(output.status.success(), "{output:?}");
        let received = fs::read_to_string(&received).expect("a file");
        assert!(received == text, "{} bytes", received.len());
        relay.wait_for("closed");
    }
    relay.end();
}
