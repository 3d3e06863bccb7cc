//! `halves connect`: both directions, their ends, and the exit codes.

mod bulk;
mod codes;
mod ends;
mod json;
mod programs;
mod signals;
mod terminal;
mod tls;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};

use crate::common::{TIMEOUT, halves, output_of, run};

/// `halves connect` with these arguments.
fn connect(args: &[&str]) -> Command {
    halves(&[&["connect"], args].concat())
}

/// Runs it to its end, with this standard input and its end.
fn ask(args: &[&str], input: &[u8]) -> Output {
    let mut command = connect(args);
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    command.stdin(reader);
    let input = input.to_vec();
    // The command may end before it has read all.
    let sender = thread::spawn(move || drop(writer.write_all(&input)));
    let output = output_of(&mut command);
    // Holds the other end of the pipe.
    drop(command);
    sender.join().expect("it ends");
    output
}

/// Starts it with pipes.
fn start(args: &[&str]) -> Child {
    let mut command = connect(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

/// Runs `serve` for the next client of a port, on a thread. Returns the address.
pub(crate) fn server<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (String, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let serving = thread::spawn(move || {
        let (client, _) = listener.accept().expect("a client");
        client.set_read_timeout(Some(TIMEOUT)).expect("a socket");
        client.set_write_timeout(Some(TIMEOUT)).expect("a socket");
        serve(client)
    });
    (address, serving)
}

/// Makes the close of a socket a reset.
pub(crate) fn reset(socket: &TcpStream) {
    let now = Some(std::time::Duration::ZERO);
    rustix::net::sockopt::set_socket_linger(socket, now).expect("a socket");
}

/// Asserts the exit code and the one line on standard error, which is the end of what it returns.
pub(crate) fn complaint(output: &Output, code: i32) -> String {
    let text = String::from_utf8(output.stderr.clone()).expect("text");
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    let line = text
        .strip_prefix("halves: ")
        .expect("a line of the command");
    line.trim_end().to_owned()
}

/// Asserts that it ended with 0 and no word, and returns its output.
fn answer(output: &Output) -> String {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*complaint), (Some(0), ""));
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[test]
fn the_help_has_the_settings_and_the_exit_codes() {
    let output = run(&["connect", "--help"]);
    let help = answer(&output);
    for part in [
        "Usage: halves connect ADDRESS [OPTIONS]",
        "--quit-on-eof",
        ",tls,cert=FILE,key=FILE",
        "16 it was truncated",
    ] {
        assert!(help.contains(part), "{help}");
    }
    let all = answer(&run(&["--help"]));
    assert!(all.contains("  connect "), "{all}");
}
