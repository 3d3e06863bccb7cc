//! The examples run as documented, and the README's commands and programs are theirs.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::skip::skip;

/// Far longer than any wait in a test.
const TIMEOUT: Duration = Duration::from_secs(30);

#[test]
fn every_example_begins_with_the_command_that_runs_it_and_is_short() {
    let list = read("examples/README.md");
    for (name, text) in examples() {
        let intro: Vec<_> = text.lines().take_while(|l| l.starts_with("//!")).collect();
        let commands = ["run", "test"].map(|verb| format!("cargo {verb} --example {name}"));
        assert!(
            intro.iter().any(|l| commands.iter().any(|c| l.contains(c))),
            "{name} does not say how it is run"
        );
        // A whole chat, and a protocol with both of its ends, cannot be as short as the others.
        let most = if ["broadcast", "starttls"].contains(&&*name) {
            85
        } else {
            45
        };
        assert!(text.lines().count() <= most, "{name} is too long");
        assert!(
            list.contains(&format!("({name}.rs)")),
            "examples/README.md does not name {name}"
        );
    }
}

#[test]
fn an_uppercase_server_takes_eight_lines_and_a_careful_one_fifteen() {
    assert_eq!(code_lines("upper"), 8);
    assert_eq!(code_lines("graceful"), 15);
    assert_eq!(code_lines("tls"), 15);
}

#[cfg(feature = "testing")]
#[test]
fn the_simulation_finds_its_planted_bug() {
    let output = run(&mut example("simulate"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(": a lock is left\n"), "{text}");
    assert_eq!(text.matches("        \"connection 1 ").count(), 1, "{text}");
}

#[cfg(feature = "tls")]
#[test]
fn the_example_with_tls_answers_over_tls() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let dir = crate::support::place::dir();
    fs::write(dir.path().join("cert.pem"), &cert).expect("a file");
    fs::write(dir.path().join("key.pem"), key).expect("a file");
    let server = Server::run(example("tls").current_dir(dir.path()));
    let settings = halves::tls::ClientSettings::new()
        .ca_pem(cert)
        .server_name("localhost");
    let connector = settings.load().expect("a certificate");
    let answer = smol::block_on(async {
        use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut c = connector.connect(server.address.to_string()).await?;
        c.writer.write_all(b"hello").await?;
        c.writer.close().await?;
        let mut answer = String::new();
        c.reader.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    });
    assert_eq!(answer.expect("an answer"), "HELLO");
}

#[test]
fn serving_examples_answer_in_capital_letters() {
    for mut server in [
        Server::start("upper", &[]),
        Server::start("graceful", &[]),
        Server::start("from_asyncio", &[]),
        Server::start("async_std", &[]),
        Server::start("child", &[]),
        Server::start("swap_transports", &["tcp"]),
    ] {
        assert_eq!(server.ask("hello\nworld\n"), "HELLO\nWORLD\n");
    }
}

#[test]
fn the_python_program_beside_ours_does_the_same() {
    let page = read("docs/asyncio.md");
    let blocks = code_blocks(&page);
    let python = blocks.iter().find(|(language, _)| *language == "python");
    let (_, python) = python.expect("a program");
    let mut command = Command::new("python3");
    if command.arg("--version").output().is_err() {
        let this = "the_python_program_beside_ours_does_the_same";
        skip(this, "there is no python3");
        return;
    }
    let mut command = Command::new("python3");
    let mut server = Server::run(command.args(["-c", python]));
    assert_eq!(server.ask("hello\nworld\n"), "HELLO\nWORLD\n");
}

#[test]
fn the_local_example_counts_its_visitors() {
    let mut server = Server::start("local", &[]);
    // The first visitor was the probe for a running server.
    assert_eq!(server.ask(""), "You are visitor 2.\n");
    assert_eq!(server.ask(""), "You are visitor 3.\n");
}

#[test]
fn graceful_finishes_its_connections_on_term() {
    let mut server = Server::start("graceful", &[]);
    let mut client = BufReader::new(server.connect());
    client.get_mut().write_all(b"one\n").expect("it serves");
    let mut line = String::new();
    client.read_line(&mut line).expect("it answers");
    assert_eq!(line, "ONE\n");

    server.signal(Signal::TERM);
    let rest = client.read_to_end(&mut vec![]).expect("it ends in order");
    assert_eq!(rest, 0);
    drop(client);
    // The server may not have noticed yet that the probe has left.
    let output = server.output();
    let reports = ["1 finished, 0 aborted\n", "2 finished, 0 aborted\n"];
    assert!(reports.contains(&output.as_str()), "{output}");
}

#[test]
fn broadcast_sends_every_line_to_every_client_until_a_signal() {
    for policy in [&[][..], &["--drop-oldest"]] {
        let mut server = Server::start("broadcast", policy);
        let receive = |client: &mut TcpStream| {
            let mut frame = [0; 4];
            client.read_exact(&mut frame).expect("it is received");
            frame
        };
        // A client that receives its own line is in the room. The second one connects later, so that
        // it does not receive the first line.
        let mut clients = [(); 2].map(|()| {
            let mut client = server.connect();
            client.write_all(b"one\0").expect("it serves");
            assert_eq!(&receive(&mut client), b"one\0");
            client
        });
        assert_eq!(&receive(&mut clients[0]), b"one\0");
        clients[0].write_all(b"two\0").expect("it serves");
        server.signal(Signal::TERM);
        for mut client in clients {
            assert_eq!(&receive(&mut client), b"two\0");
            let rest = client.read_to_end(&mut vec![]);
            assert_eq!(rest.expect("it ends in order"), 0);
        }
        assert_eq!(server.output(), "");
    }
}

#[test]
fn embed_serves_a_task_of_the_same_program() {
    let output = run(&mut example("embed"));
    assert_eq!(
        stdout(&output),
        "HELLO FROM A TASK\naccepted so far: 1\nbytes answered: 18\n"
    );
}

#[test]
fn files_copies_a_file_in_capital_letters() {
    let dir = tempfile::tempdir().expect("a directory");
    let [request, reply] = ["request", "reply"].map(|name| dir.path().join(name));
    fs::write(&request, "how do you do?\n").expect("the request");
    let output = run(example("files").args([&request, &reply]));
    assert_eq!(stdout(&output), "15 bytes written\n");
    assert_eq!(fs::read(&reply).expect("a reply"), b"HOW DO YOU DO?\n");

    let refused = example("files").output().expect("it runs");
    assert_eq!(refused.status.code(), Some(1), "it needs two files");
}

#[test]
fn swap_transports_prints_the_same_for_each() {
    let output = run(example("swap_transports").arg("memory"));
    assert_eq!(stdout(&output), "HELLO FROM MEMORY\n");

    let dir = tempfile::tempdir().expect("a directory");
    let [input, reply] = ["input", "reply"].map(|name| dir.path().join(name));
    fs::write(&input, "hello").expect("the input");
    run(example("swap_transports")
        .arg("files")
        .args([&input, &reply]));
    assert_eq!(fs::read(&reply).expect("a reply"), b"HELLO");

    let input = fs::File::open(&input).expect("the input");
    let output = run(example("swap_transports").arg("stdio").stdin(input));
    assert_eq!(stdout(&output), "HELLO");
}

#[test]
fn the_readme_begins_with_the_two_commands() {
    let readme = read("README.md");
    let blocks = code_blocks(&readme);
    assert_eq!(blocks[0], ("sh", "cargo run --release\n"));
    assert_eq!(blocks[2], ("sh", "cargo test\n"));
}

// The client keeps its half open while it waits for the answer, as the README's line and `nc` do.
#[test]
fn each_server_of_the_readme_answers_the_readme_s_line_to_try_it() {
    let readme = read("README.md");
    let (_, block) = code_blocks(&readme)[1];
    let line = block.lines().nth(1).expect("the line to try it by");
    assert!(line.contains("/dev/tcp/127.0.0.1/50007"));
    for (example, answer) in [("upper", "HELLO\n"), ("greet", "Hello, hello!\n")] {
        let mut server = Server::start(example, &[]);
        let mut client = BufReader::new(server.connect());
        client.get_mut().write_all(b"hello\n").expect("it reads");
        let mut received = String::new();
        client.read_line(&mut received).expect("it answers");
        assert_eq!(received, answer, "{example}");

        let line = line.replace("50007", &server.address.port().to_string());
        let output = run(Command::new("sh").arg("-c").arg(&line));
        assert_eq!(stdout(&output), answer, "{example}");
    }
}

#[test]
fn the_programs_of_the_readme_are_the_examples() {
    let readme = read("README.md");
    let blocks = code_blocks(&readme);
    let rust: Vec<_> = blocks.iter().filter(|b| b.0.starts_with("rust")).collect();
    let [server, handler, test] = rust[..] else {
        panic!("the README has {} programs", rust.len());
    };
    let upper = read("examples/upper.rs");
    // The example takes an optional address.
    let upper = upper.replace("bind(address)", "bind(\"127.0.0.1:50007\")");
    let lines = upper.lines().filter(|l| !l.contains("env::args()"));
    let program: Vec<_> = lines.skip(1).collect();
    assert_eq!(server.1.lines().collect::<Vec<_>>(), program);
    for example in ["greet", "test_handler"] {
        let text = read(format!("examples/{example}.rs"));
        let (_, body) = handler.1.split_once("-> std::").expect("a handler");
        assert!(text.contains(body), "{example} is not the README's handler");
    }
    assert_eq!(
        test.0, "rust",
        "it is run with the documentation's examples"
    );
}

/// A running example that serves, ended when it is dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts an example with `args` and an address after them.
    fn start(name: &str, args: &[&str]) -> Self {
        Self::run(example(name).args(args))
    }

    fn run(command: &mut Command) -> Self {
        let address = free_address();
        let child = command
            .arg(address.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let mut server = Self { child, address };
        drop(server.connect());
        server
    }

    /// Connects, as soon as the server listens.
    fn connect(&mut self) -> TcpStream {
        let begin = Instant::now();
        loop {
            if let Ok(stream) = TcpStream::connect(self.address) {
                let timeout = stream.set_read_timeout(Some(TIMEOUT));
                timeout.expect("a timeout that is not zero");
                return stream;
            }
            let ended = self.child.try_wait().expect("our child");
            assert!(ended.is_none(), "the example ended: {ended:?}");
            assert!(begin.elapsed() < TIMEOUT, "the example does not listen");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn ask(&mut self, text: &str) -> String {
        let mut stream = self.connect();
        // An example that does not read may have ended the connection already.
        let _ = stream.write_all(text.as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("our child");
    }

    /// Everything it printed, once it has ended by itself.
    fn output(&mut self) -> String {
        let mut printed = String::new();
        let mut stdout = self.child.stdout.take().expect("a pipe");
        stdout.read_to_string(&mut printed).expect("text");
        let status = self.child.wait().expect("our child");
        assert!(status.success(), "{status}");
        printed
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that was free a moment ago.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address")
}

/// A built example, without standard input. `cargo test` builds them all.
fn example(name: &str) -> Command {
    let test = env::current_exe().expect("our own path");
    let target = test.ancestors().nth(2).expect("target/debug");
    let path = target.join("examples").join(name);
    assert!(path.exists(), "run `cargo build --examples` first");
    let mut command = Command::new(path);
    command.stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    output
}

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).expect("text")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names and texts of all examples of one file.
fn examples() -> Vec<(String, String)> {
    let entries = fs::read_dir(root().join("examples")).expect("examples");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let sources = paths.filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let named = |path: PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy();
        (name.into_owned(), read(&path))
    };
    sources.map(named).collect()
}

/// The number of lines that are neither empty nor comments.
fn code_lines(example: &str) -> usize {
    let text = read(format!("examples/{example}.rs"));
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}

/// Fenced blocks of Markdown: the words after the fence, and the text.
fn code_blocks(markdown: &str) -> Vec<(&str, &str)> {
    let inside = markdown.split("```").skip(1).step_by(2);
    inside.filter_map(|block| block.split_once('\n')).collect()
}
