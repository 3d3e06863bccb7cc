//! Every step of the ladder serves the same, as well as its design allows, and begins with a
//! description.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size};
use rustix::process::{Pid, Signal, kill_process_group};

/// Far longer than any wait in a test.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The time without progress after which a server counts as stuck. With a shorter one, a test would
/// find less.
const STALL_TIMEOUT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

const STEPS: [(u32, &str); 9] = [
    (1, "1_blocking"),
    (2, "2_threads"),
    (3, "3_processes"),
    (4, "4_callbacks"),
    (5, "5_coroutines"),
    (6, "6_selector_loop"),
    (7, "7_async_await"),
    (8, "8_async_io"),
    (9, "9_halves"),
];

#[test]
fn every_step_states_what_it_adds_what_is_wrong_and_what_it_mirrors() {
    let list = read("README.md");
    for (step, name) in STEPS {
        let text = read(&format!("{name}.rs"));
        let intro: Vec<_> = text.lines().take_while(|l| l.starts_with("//!")).collect();
        assert!(intro[0].contains(&format!("Step {step}, ")), "{name}");
        let command = format!("`cargo run --release --example ladder_0{step} -- 127.0.0.1:50007`");
        assert!(intro[0].ends_with(&command), "{name}");
        for word in ["Adds:", "Still wrong:", "In the article:"] {
            let begins = |line: &&&str| line.starts_with(&format!("//! {word} "));
            assert_eq!(intro.iter().filter(begins).count(), 1, "{name}: {word}");
        }
        assert!(list.contains(&format!("({name}.rs)")), "{name} is listed");
    }
}

#[test]
fn no_step_is_long_nor_is_what_steps_share() {
    let files = fs::read_dir(folder()).expect("the ladder");
    let names = files.map(|file| file.expect("a file").file_name());
    let names: Vec<_> = names
        .map(|name| name.into_string().expect("text"))
        .collect();
    let code: Vec<_> = names
        .iter()
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "rs"))
        .collect();
    assert!(code.len() > STEPS.len(), "shared files too: {code:?}");
    for name in code {
        let lines = read(name).lines().count();
        assert!(lines <= LONGEST_FILE, "{name} has {lines} lines");
    }
}

#[test]
fn letters_become_capitals_and_the_end_is_answered_by_the_end() {
    for step in steps() {
        let every_byte: Vec<u8> = (0..=255).collect();
        let mut client = step.connect();
        client.write_all(&every_byte).expect("it takes them");
        client.shutdown(Shutdown::Write).expect("a half-close");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).expect("it answers");
        assert_eq!(answer, every_byte.to_ascii_uppercase(), "{}", step.name);
    }
}

#[test]
fn the_first_step_serves_the_second_client_when_the_first_has_gone() {
    let mut step = Step::start(1);
    let mut first = step.connect();
    ask(&mut first);
    let mut second = step.connect();
    second.write_all(b"b").expect("the kernel takes it");
    // Time enough for any server that does not wait for the first client to leave.
    (0..1000).for_each(|_| ask(&mut first));
    second.set_nonblocking(true).expect("a socket");
    let nothing = second.read(&mut [0]).expect_err("no answer yet");
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    second.set_nonblocking(false).expect("a socket");

    let [a, b] = [&first, &second].map(|client| client.local_addr().expect("its address"));
    drop(first);
    let mut answer = [0];
    second.read_exact(&mut answer).expect("its turn");
    assert_eq!(answer, *b"B");
    drop(second);
    assert_eq!(step.line(), format!("Connected by {a}"));
    assert_eq!(step.line(), format!("Disconnected by {a}"));
    assert_eq!(step.line(), format!("Connected by {b}"));
    assert_eq!(step.line(), format!("Disconnected by {b}"));
}

#[test]
fn all_others_serve_clients_side_by_side() {
    for step in steps().skip(1) {
        let mut clients = [(); 3].map(|()| step.connect());
        for client in &mut clients {
            ask(client);
        }
        clients.reverse();
        for client in &mut clients {
            ask(client);
        }
    }
}

#[test]
fn a_message_larger_than_all_buffers_comes_back_whole() {
    let message: Vec<u8> = (0..=255).cycle().take(8 * 1024 * 1024).collect();
    for step in steps() {
        let mut client = step.connect();
        // Not read before all buffers are full, in both directions.
        set_socket_recv_buffer_size(&client, 16 * 1024).expect("a socket");
        let sent = write_until_full(&client, &message);
        set_socket_recv_buffer_size(&client, 1024 * 1024).expect("a socket");
        let mut there = client.try_clone().expect("a descriptor");
        let rest = message[sent..].to_vec();
        let sender = thread::spawn(move || {
            there.write_all(&rest)?;
            there.shutdown(Shutdown::Write)
        });
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).expect("it answers");
        sender.join().expect("no panic").expect("it takes all");
        let whole = answer == message.to_ascii_uppercase();
        assert!(whole, "{}: {} bytes came back", step.name, answer.len());
    }
}

/// Writes as much as a server reads while its answers are not read. Returns the number of bytes.
fn write_until_full(mut client: &TcpStream, message: &[u8]) -> usize {
    client.set_nonblocking(true).expect("a socket");
    let (mut sent, mut room) = (0, 1);
    while sent < message.len() && room > 0 {
        match client.write(&message[sent..]) {
            Ok(n) => sent += n,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        let mut poll_fd = [PollFd::new(client, PollFlags::OUT)];
        room = poll(&mut poll_fd, Some(&STALL_TIMEOUT)).expect("a socket");
    }
    client.set_nonblocking(false).expect("a socket");
    sent
}

#[test]
fn a_client_that_resets_does_not_affect_others() {
    for step in steps() {
        for input in [&b""[..], b"a"] {
            let mut rude = step.connect();
            rude.write_all(input).expect("the kernel takes it");
            set_socket_linger(&rude, Some(Duration::ZERO)).expect("a socket");
            drop(rude);
        }
        ask(&mut step.connect());
    }
}

#[test]
fn a_client_that_never_pauses_does_not_starve_others() {
    // Step 8 names this as its flaw.
    let fair = |step: &Step| !step.name.starts_with('8');
    for step in steps().skip(1).filter(fair) {
        let flood = step.connect();
        let much = vec![b'x'; 64 * 1024];
        let pour = |mut to: &TcpStream| while to.write_all(&much).is_ok() {};
        thread::scope(|scope| {
            scope.spawn(|| pour(&flood));
            let mut poured = vec![0; 1024 * 1024];
            (&flood).read_exact(&mut poured).expect("it answers");
            scope.spawn(|| io::copy(&mut &flood, &mut io::sink()));
            let mut other = step.connect();
            (0..100).for_each(|_| ask(&mut other));
            flood.shutdown(Shutdown::Both).expect("it is connected");
        });
    }
}

#[test]
fn ctrl_c_ends_each_with_all_that_it_has_started() {
    for mut step in steps() {
        let mut client = step.connect();
        ask(&mut client);
        // A terminal signals the whole group. A process that is left would hold the other end of
        // the pipe.
        kill_process_group(step.group(), Signal::INT).expect("it runs");
        let mut errors = String::new();
        step.stderr.read_to_string(&mut errors).expect("text");
        let ended = client.read(&mut [0]);
        assert!(matches!(ended, Ok(0) | Err(_)), "{}: {ended:?}", step.name);
        let status = step.child.wait().expect("our child");
        let by_signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(by_signal.is_none(), step.name == "9_halves", "{status}");
        assert!(by_signal.is_some() || status.success(), "{status}");
    }
}

/// A running step. It is ended with all its processes when it is dropped.
struct Step {
    name: &'static str,
    child: Child,
    stderr: BufReader<ChildStderr>,
    address: SocketAddr,
}

fn steps() -> impl Iterator<Item = Step> {
    STEPS.iter().map(|(step, _)| Step::start(*step))
}

impl Step {
    fn start(step: u32) -> Self {
        let (_, name) = STEPS[step as usize - 1];
        let test = env::current_exe().expect("our own path");
        let target = test.ancestors().nth(2).expect("target/debug");
        let program = target.join(format!("examples/ladder_0{step}"));
        assert!(program.exists(), "run `cargo build --examples` first");
        let mut child = Command::new(program)
            .arg("127.0.0.1:0")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the step starts");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut step = Self {
            name,
            child,
            stderr,
            address,
        };
        let line = step.line();
        let address = line.strip_prefix("listening local=").expect("an address");
        step.address = address.parse().expect("an address");
        step
    }

    /// The next line that it prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).expect("text");
        line.trim_end().into()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        let timeout = stream.set_read_timeout(Some(TIMEOUT));
        timeout.expect("a timeout that is not zero");
        stream
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        // The id of a process that was waited for may be used again.
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process_group(self.group(), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// One request, and its answer.
fn ask(client: &mut TcpStream) {
    let mut answer = [0; 5];
    client.write_all(b"hello").expect("it takes it");
    client.read_exact(&mut answer).expect("it answers");
    assert_eq!(answer, *b"HELLO");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ladder")
}

fn read(name: &str) -> String {
    let path = folder().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// In lines, with the introduction. Step 5 has this many; most have fewer than 125.
const LONGEST_FILE: usize = 155;
