//! Standard streams of every kind: pipes, FIFOs, terminals, files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_getfl, mknodat};
use rustix::process::Signal;

use crate::common::{Client, Halves, halves, halves_after};
use crate::support::place;
use crate::support::skip::skip;
use crate::support::terminal::{cooked, terminal};

/// Serves capital letters on these streams.
fn serve(command: &mut Command, input: impl Into<Stdio>, output: impl Into<Stdio>) -> Halves {
    let mut server = Halves::start(command.stdin(input).stdout(output));
    server.wait_for("serving local=stdio");
    server
}

fn upper() -> Command {
    halves(&["serve", "upper", "--listen", "-"])
}

fn is_blocking(fd: &OwnedFd) -> bool {
    let flags = fcntl_getfl(fd).expect("it is open");
    !flags.contains(OFlags::NONBLOCK)
}

#[test]
fn a_terminal_is_served_and_stays_as_it_was() {
    let (person, program) = terminal().expect("a pseudo-terminal");
    let copy = || program.try_clone().expect("a copy");
    let mut server = serve(&mut upper(), copy(), copy());
    let mut person = File::from(person);
    let mut received = [0; 5];
    for _ in 0..3 {
        person.write_all(b"hello").expect("it reads");
        person.read_exact(&mut received).expect("it answers");
        assert_eq!(&received, b"HELLO");
        assert!(is_blocking(&program), "for a shell that has it, too");
    }
    server.end();
    assert!(is_blocking(&program));
}

#[test]
fn a_line_typed_on_a_terminal_is_answered_and_the_input_ended() {
    let (person, program) = cooked().expect("a pseudo-terminal");
    let copy = || program.try_clone().expect("a copy");
    let mut server = serve(&mut upper(), copy(), copy());
    let mut person = File::from(person);
    // End of transmission, at the beginning of a line.
    person.write_all(b"hello\n\x04").expect("it reads");
    let mut seen = [0; 14];
    person.read_exact(&mut seen).expect("it answers");
    assert_eq!(&seen, b"hello\r\nHELLO\r\n", "with the echo");
    assert_eq!(server.code(), Some(0), "{:?}", server.log);
    assert!(
        server.has_logged("reason=eof in=6 out=6"),
        "{:#?}",
        server.log
    );
}

#[test]
fn a_terminal_that_hangs_up_is_an_end() {
    let (person, program) = terminal().expect("a pseudo-terminal");
    let output = program.try_clone().expect("a copy");
    let mut server = serve(&mut upper(), program, output);
    drop(person);
    assert_eq!(server.code(), Some(0), "{:?}", server.log);
    assert!(server.has_logged("reason=eof"), "{:#?}", server.log);
}

/// The reader of a pipe receives the end at once, and not when the server, which has other
/// listeners, exits.
#[test]
fn each_half_of_a_pipe_ends_by_itself() {
    let mut command = upper();
    command.args(["--close-word", "close", "--listen", "127.0.0.1:0"]);
    let mut server = serve(&mut command, Stdio::piped(), Stdio::piped());
    server.wait_until_listening(1);
    let mut input = server.child().stdin.take().expect("a pipe");
    let mut output = server.child().stdout.take().expect("a pipe");
    input.write_all(b"hello").expect("it reads");
    let mut received = [0; 5];
    output.read_exact(&mut received).expect("it answers");
    input.write_all(b"close").expect("it reads");
    assert_eq!(output.read_to_end(&mut Vec::new()).expect("an end"), 0);
    server.wait_for("closed conn=1 ");
    let error = input.write_all(b"more").expect_err("it is not read");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    let mut client = Client::new(server.at[0]);
    assert_eq!(client.ask("still here"), "STILL HERE");
    drop(client);
    server.end();
}

/// The client reads late, and the whole answer is there, which is more than all buffers hold.
#[test]
fn the_answer_after_a_half_close_is_late_and_whole() {
    let mut server = serve(&mut upper(), Stdio::piped(), Stdio::piped());
    let mut input = server.child().stdin.take().expect("a pipe");
    let mut output = server.child().stdout.take().expect("a pipe");
    let sent = "hello ".repeat(300_000);
    let asked = sent.clone();
    let asking = thread::spawn(move || input.write_all(asked.as_bytes()));
    thread::sleep(Duration::from_millis(1200));
    let mut answer = String::new();
    output.read_to_string(&mut answer).expect("text");
    assert!(answer == sent.to_uppercase(), "{} bytes", answer.len());
    asking.join().expect("no panic").expect("it reads");
    assert_eq!(server.code(), Some(0));
}

#[test]
fn unread_output_is_aborted_at_the_deadline_and_by_force() {
    for (signals, code) in [(1, 3), (2, 128 + 15)] {
        let mut command = upper();
        command.args(["--drain-timeout", if signals == 1 { "200ms" } else { "1h" }]);
        let mut server = serve(&mut command, Stdio::piped(), Stdio::piped());
        let mut input = server.child().stdin.take().expect("a pipe");
        // Until the pipes are full.
        let full = thread::spawn(move || input.write_all(&vec![b'a'; 4_000_000]));
        server.signal(Signal::TERM);
        server.wait_for("draining");
        if signals == 2 {
            server.signal(Signal::TERM);
        }
        assert_eq!(server.code(), Some(code), "{:?}", server.log);
        let cut = full.join().expect("no panic");
        assert!(cut.is_err(), "the reader is gone");
    }
}

struct Fifos {
    dir: tempfile::TempDir,
}

impl Fifos {
    fn new() -> Self {
        let fifos = Self { dir: place::dir() };
        for name in ["in", "out"] {
            let mode = Mode::from_raw_mode(0o600);
            mknodat(CWD, fifos.path(name), FileType::Fifo, mode, 0).expect("a FIFO");
        }
        fifos
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }
}

#[test]
fn writers_of_a_fifo_come_and_go() {
    let fifos = Fifos::new();
    let open = |name| {
        let both = OpenOptions::new()
            .read(true)
            .write(true)
            .open(fifos.path(name));
        both.expect("a FIFO")
    };
    // As a shell does for `<>in 1<>out`.
    let mut server = serve(&mut upper(), open("in"), open("out"));
    for word in ["one", "two", "three"] {
        fs::write(fifos.path("in"), word).expect("it reads");
        let mut answer = vec![0; word.len()];
        let mut replies = File::open(fifos.path("out")).expect("it writes");
        replies.read_exact(&mut answer).expect("it answers");
        assert_eq!(answer, word.to_uppercase().into_bytes());
    }
    server.end();
    assert!(
        server.has_logged("reason=drained in=11 out=11"),
        "{:#?}",
        server.log
    );
}

#[test]
fn a_fifo_that_is_only_read_ends_with_its_last_writer() {
    let fifos = Fifos::new();
    let (input, output) = (fifos.path("in"), fifos.path("out"));
    let writing = thread::spawn(move || OpenOptions::new().write(true).open(input));
    let reading = thread::spawn(move || fs::read(output));
    let input = File::open(fifos.path("in")).expect("a FIFO");
    let output = OpenOptions::new().write(true).open(fifos.path("out"));
    let mut server = serve(&mut upper(), input, output.expect("a FIFO"));
    let mut first = writing.join().expect("no panic").expect("it reads");
    let mut second = first.try_clone().expect("a copy");
    first.write_all(b"one ").expect("it reads");
    drop(first);
    second.write_all(b"two").expect("it reads");
    drop(second);
    let answer = reading.join().expect("no panic").expect("it ends");
    assert_eq!(answer, b"ONE TWO");
    assert_eq!(server.code(), Some(0));
}

#[test]
fn a_file_is_read_from_its_offset_and_written_at_its_end() {
    let dir = place::dir();
    let [request, reply] = ["request", "reply"].map(|name| dir.path().join(name));
    fs::write(&request, "skipped hello").expect("a file");
    fs::write(&reply, "before ").expect("a file");
    let mut input = File::open(&request).expect("a file");
    input.read_exact(&mut [0; 8]).expect("it is longer");
    let output = OpenOptions::new()
        .append(true)
        .open(&reply)
        .expect("a file");
    let mut command = upper();
    let status = command.arg("-q").stdin(input).stdout(output).status();
    assert_eq!(status.expect("it starts").code(), Some(0));
    assert_eq!(fs::read(&reply).expect("a file"), b"before HELLO");
}

/// Without `/proc`, files cannot be opened again, and threads wait.
#[test]
fn pipes_that_cannot_be_opened_again_are_served_alike() {
    let name = "pipes_that_cannot_be_opened_again_are_served_alike";
    let hidden = "mount -t tmpfs none /proc";
    let mut tried = Command::new("unshare");
    tried
        .args(["--mount", "sh", "-c", hidden])
        .stderr(Stdio::null());
    if !tried.status().is_ok_and(|status| status.success()) {
        return skip(name, "nothing can be mounted here");
    }
    let hide = || {
        let inner = halves_after(hidden, &["serve", "upper", "--listen", "-"]);
        let mut outer = Command::new("unshare");
        outer
            .arg("--mount")
            .arg(inner.get_program())
            .args(inner.get_args());
        outer
    };
    let mut server = serve(&mut hide(), Stdio::piped(), Stdio::piped());
    let mut input = server.child().stdin.take().expect("a pipe");
    let mut output = server.child().stdout.take().expect("a pipe");
    let sent = "hello ".repeat(200_000);
    let asked = sent.clone();
    let asking = thread::spawn(move || input.write_all(asked.as_bytes()));
    let mut answer = String::new();
    output.read_to_string(&mut answer).expect("text");
    assert!(answer == sent.to_uppercase(), "{} bytes", answer.len());
    asking.join().expect("no panic").expect("it reads");
    assert_eq!(server.code(), Some(0));

    // An idle stream does not hold up the end.
    let mut server = serve(&mut hide(), Stdio::piped(), Stdio::piped());
    server.end();

    // A terminal reports its end once.
    let (person, program) = cooked().expect("a pseudo-terminal");
    let output = program.try_clone().expect("a copy");
    let mut server = serve(&mut hide(), program, output);
    let mut person = File::from(person);
    person.write_all(b"hello\n\x04").expect("it reads");
    let mut seen = [0; 14];
    person.read_exact(&mut seen).expect("it answers");
    assert_eq!(&seen, b"hello\r\nHELLO\r\n", "with the echo");
    assert_eq!(server.code(), Some(0), "{:?}", server.log);
}
