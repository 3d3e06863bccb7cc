//! TLS on either side, and PROXY headers to the target.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::{at, proxy};
use crate::common::{Client, Halves, halves, output_of, serve};
use crate::tls::Files;

/// Sends a word by `halves connect` over TLS, and returns the answer.
fn ask_by_tls(files: &Files, server: &Halves, question: &str) -> Vec<u8> {
    let address = format!("localhost:{},tls,ca={}", server.at[0].port(), files.ca());
    let mut command = halves(&["connect", &address]);
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(question.as_bytes()).expect("it fits");
    drop(writer);
    command.stdin(reader);
    let output = output_of(&mut command);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    output.stdout
}

#[test]
fn tls_to_the_target_hides_the_clear_text_of_the_client() {
    let files = Files::new();
    let mut server = files.serve(&["upper"]);
    let (port, ca) = (server.at[0].port(), files.ca());
    let mut relay = proxy(&[], &[&format!("localhost:{port},tls,ca={ca}")]);
    assert_eq!(relay.client().ask("hello"), "HELLO");
    relay.wait_for("closed");
    let closed = server.wait_for("closed");
    assert!(closed.contains(" reason=eof "), "{closed}");
    relay.end();
    // Another name than that of the certificate.
    let mut relay = proxy(&[], &[&format!("{},tls,sni=other,ca={ca}", at(&server))]);
    assert!(relay.client().0.read_to_end(&mut Vec::new()).is_err());
    let closed = relay.wait_for("closed");
    assert!(closed.contains(" reason=refused "), "{closed}");
    relay.end();
}

#[test]
fn tls_of_the_client_ends_at_the_relay_and_half_close_passes() {
    let files = Files::new();
    let server = serve(&["upper"]);
    let options = files.options("relay", &["localhost"]);
    let mut relay = proxy(&options.each_ref().map(String::as_str), &[&at(&server)]);
    assert_eq!(ask_by_tls(&files, &relay, "hello"), b"HELLO");
    let closed = relay.wait_for("closed");
    assert!(closed.contains(" reason=eof "), "{closed}");
    relay.end();
}

#[test]
fn a_client_without_close_notify_is_logged_as_truncated() {
    let files = Files::new();
    for (setting, end_is_orderly) in [("", true), (",truncated=reset", false)] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let target = listener.local_addr().expect("an address").to_string();
        let options = files.options("relay", &["localhost"]);
        let listen = format!("127.0.0.1:0{setting}");
        let options = options.each_ref().map(String::as_str);
        let args = [&["proxy", "--listen", &listen, &target], &options[..]].concat();
        let mut relay = Halves::start(&mut halves(&args));
        relay.wait_until_listening(1);
        // Killed in the middle, so that only its system ends the connection.
        let address = format!("localhost:{},tls,ca={}", relay.at[0].port(), files.ca());
        let mut client = halves(&["connect", &address]);
        client.stdin(std::process::Stdio::piped());
        let mut client = client.spawn().expect("it starts");
        let mut input = client.stdin.take().expect("a pipe");
        input.write_all(b"hello").expect("it reads");
        let (mut accepted, _) = listener.accept().expect("the relay");
        let mut received = [0; 5];
        accepted.read_exact(&mut received).expect("it is passed on");
        assert_eq!(&received, b"hello");
        client.kill().expect("it runs");
        client.wait().expect("a child");
        let end = accepted.read_to_end(&mut Vec::new());
        assert_eq!(matches!(end, Ok(0)), end_is_orderly, "{end:?}");
        drop(accepted);
        let closed = relay.wait_for("closed");
        assert!(closed.contains(" reason=truncated "), "{closed}");
        relay.end();
    }
}

#[test]
fn a_header_passes_the_client_on() {
    let trust = ["--proxy-protocol", "any", "--trust-proxy", "127.0.0.0/8"];
    let mut server = serve(&[&["upper"], &trust[..]].concat());
    for version in ["v1", "v2"] {
        let target = format!("{},send-proxy={version}", at(&server));
        let mut relay = proxy(&[], &[&target]);
        let mut client = Client::from_source([127, 0, 0, 9], relay.at[0]);
        let source = client.0.local_addr().expect("an address");
        assert_eq!(client.ask("hello"), "HELLO");
        drop(client);
        let closed = server.wait_for("closed");
        assert!(closed.contains(&format!(" peer={source} ")), "{closed}");
        relay.end();
    }
    server.end();
}
