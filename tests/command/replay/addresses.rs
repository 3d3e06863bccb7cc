//! The addresses and layers of the server.

use super::{File, HELLO, same};
use crate::common::{Halves, halves, serve};
use crate::connect::complaint;
use crate::support::place;
use crate::tls::Files;

#[test]
fn a_server_over_tls_is_asked() {
    let files = Files::new();
    let server = files.serve(&["upper"]);
    let file = File::new(HELLO);
    let target = format!("localhost:{},tls,ca={}", server.at[0].port(), files.ca());
    same(&file.replay(&[&target]));
    let target = format!("{},tls", server.at[0]);
    complaint(&file.replay(&[&target]), 14);
    // Without TLS, the server answers to a handshake that is none.
    let line = complaint(&file.replay(&[&server.at[0].to_string()]), 1);
    assert!(line.contains("recorded \"HELLO\\n\", answered "), "{line}");
    let plain = serve(&["upper"]);
    let target = format!("{},tls,verify=off", plain.at[0]);
    complaint(&file.replay(&[&target]), 13);
}

#[test]
fn a_unix_socket_is_asked() {
    let dir = place::dir();
    let path = dir.path().join("x.sock").display().to_string();
    let mut server = Halves::start(&mut halves(&["serve", "upper", "--listen", &path]));
    server.wait_for_local();
    same(&File::new(HELLO).replay(&[&path]));
    same(&File::at(&path, HELLO).replay(&[]));
}

#[test]
fn a_proxy_header_is_sent_first() {
    let trusting = ["upper", "--proxy-protocol=any", "--trust-proxy=127.0.0.1"];
    let server = serve(&trusting);
    for version in ["v1", "v2"] {
        let target = format!("{},send-proxy={version}", server.at[0]);
        same(&File::new(HELLO).replay(&[&target]));
    }
    complaint(&File::new(HELLO).replay(&[&server.at[0].to_string()]), 1);
}
