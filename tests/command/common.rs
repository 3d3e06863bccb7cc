//! Runs the built command, and reads its log.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, socket_with,
};
use rustix::process::{Pid, Signal, kill_process};

/// Far longer than any wait in a test.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// A running `halves`, which is killed when it is dropped.
pub(crate) struct Halves {
    child: Child,
    lines: Option<Receiver<String>>,
    /// The lines of the log so far.
    pub(crate) log: Vec<String>,
    /// The addresses that it listens on.
    pub(crate) at: Vec<SocketAddr>,
}

/// The command, without the environment of a service manager of the tests.
pub(crate) fn halves(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_halves"));
    command.args(args);
    without_manager(&mut command);
    command
}

/// The command in a shell that first does something, such as `ulimit -n 64`.
pub(crate) fn halves_after(shell: &str, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{shell} && exec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_halves"))
        .args(args);
    without_manager(&mut command);
    command
}

fn without_manager(command: &mut Command) {
    for name in [
        "LISTEN_FDNAMES",
        "LISTEN_FDS",
        "LISTEN_PID",
        "NOTIFY_SOCKET",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
    ] {
        command.env_remove(name);
    }
}

/// Runs the command to its end, with nothing on its standard input.
pub(crate) fn run(args: &[&str]) -> Output {
    run_to_end(&mut halves(args))
}

/// The same, for a command in a shell. A command that does not end is killed.
pub(crate) fn run_to_end(command: &mut Command) -> Output {
    command.stdin(Stdio::null());
    output_of(command)
}

/// The same, with the standard input that the command has.
pub(crate) fn output_of(command: &mut Command) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("halves starts");
    let deadline = Instant::now() + TIMEOUT;
    while child.try_wait().expect("a child").is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
        }
        thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().expect("a child")
}

/// Starts `serve` with these arguments on a free port, and waits until it listens.
pub(crate) fn serve(args: &[&str]) -> Halves {
    let mut halves = Halves::start(&mut self::halves(&with_port(args)));
    halves.wait_until_listening(1);
    halves
}

/// The arguments of `serve`, on a free port.
pub(crate) fn with_port<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let listen = ["--listen", "127.0.0.1:0"];
    [&["serve"], args, &listen].concat()
}

/// True if there is such a program.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    free_address(Ipv4Addr::LOCALHOST).port()
}

/// The same, of another address of this machine. The socket does not listen: a program that another
/// thread starts may inherit it for a moment, and would take the clients of the next owner.
pub(crate) fn free_address(ip: Ipv4Addr) -> SocketAddr {
    let socket = socket().expect("a socket");
    // The next owner may bind it at the same time.
    set_socket_reuseaddr(&socket, true).expect("a socket");
    bind(&socket, &SocketAddr::from((ip, 0))).expect("a free port");
    let address = getsockname(&socket).expect("an address");
    address.try_into().expect("an address of IPv4")
}

fn socket() -> rustix::io::Result<OwnedFd> {
    let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
    socket_with(family, kind, SocketFlags::CLOEXEC, None)
}

/// The port in the first address of this machine in a line.
pub(crate) fn port_in(line: &str) -> u16 {
    let (_, rest) = line.split_once("127.0.0.1:").expect("an address");
    let end = rest.find(|c: char| !c.is_ascii_digit());
    let digits = &rest[..end.unwrap_or(rest.len())];
    digits.parse().expect("a port")
}

impl Halves {
    /// Starts a command. Its standard error is read as a log.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let (to, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = to.send(line);
            }
        });
        let mut halves = Self::without_log(child);
        halves.lines = Some(lines);
        halves
    }

    /// A command with a standard error that goes elsewhere.
    pub(crate) fn without_log(child: Child) -> Self {
        Self {
            child,
            lines: None,
            log: Vec::new(),
            at: Vec::new(),
        }
    }

    /// Waits for the addresses of so many listeners.
    pub(crate) fn wait_until_listening(&mut self, addresses: usize) {
        for _ in 0..addresses {
            let address = self.wait_for_local();
            self.at.push(address.parse().expect("an address"));
        }
    }

    /// Waits for the next address that it listens on.
    pub(crate) fn wait_for_local(&mut self) -> String {
        let line = self.wait_for("listening");
        let (_, rest) = line.split_once("local=").expect("an address");
        rest.split(' ').next().expect("an address").to_owned()
    }

    /// Waits for a line with this beginning, and returns it.
    pub(crate) fn wait_for(&mut self, beginning: &str) -> String {
        let lines = self.lines.as_ref().expect("it is received");
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = lines.recv_timeout(left).unwrap_or_else(|_| {
                panic!("there is no line '{beginning}', but {:#?}", self.log);
            });
            self.log.push(line.clone());
            if line.starts_with(beginning) {
                return line;
            }
        }
    }

    /// The child process, with its standard streams.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        let pid = Pid::from_raw(pid).expect("a pid");
        kill_process(pid, signal).expect("it runs");
    }

    /// Waits until it has ended, and for the rest of the log.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + TIMEOUT;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(Instant::now() < deadline, "it never ended: {:#?}", self.log);
            thread::sleep(Duration::from_millis(2));
        };
        if let Some(lines) = &self.lines {
            self.log.extend(lines.iter());
        }
        status
    }

    /// Waits until it has ended. Returns its exit code.
    pub(crate) fn code(&mut self) -> Option<i32> {
        self.wait().code()
    }

    /// Ends it with TERM, and asserts that it exits with 0.
    pub(crate) fn end(&mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.code(), Some(0), "{:#?}", self.log);
    }

    /// The number of lines with this beginning.
    pub(crate) fn count(&self, beginning: &str) -> usize {
        let lines = self.log.iter();
        lines.filter(|line| line.starts_with(beginning)).count()
    }

    /// Returns true if a line so far contains `part`.
    pub(crate) fn has_logged(&self, part: &str) -> bool {
        self.log.iter().any(|line| line.contains(part))
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.at[0])
    }
}

/// Connects from an address of this machine.
fn connected(source: [u8; 4], at: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket()?;
    bind(&socket, &SocketAddr::from((source, 0)))?;
    connect(&socket, &at)?;
    Ok(socket.into())
}

/// A client that sends for ever and reads nothing, so that its connection is always in the middle
/// of a write.
pub(crate) fn stuck(at: SocketAddr) -> TcpStream {
    let mut client = Client::new(at);
    // Once it is answered, it has been accepted.
    client.ask("here");
    let mut stream = client.0.try_clone().expect("a socket");
    let chunk = vec![b'x'; 65536];
    thread::spawn(move || while stream.write_all(&chunk).is_ok() {});
    client.0
}

impl Drop for Halves {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client with timeouts.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) fn new(at: SocketAddr) -> Self {
        Self::within(TcpStream::connect(at).expect("it accepts"))
    }

    /// Connects from an address of this machine: all of 127.0.0.0/8.
    pub(crate) fn from_source(source: [u8; 4], at: SocketAddr) -> Self {
        Self::within(connected(source, at).expect("it accepts"))
    }

    /// The same, to a server that may not listen yet.
    pub(crate) fn from_source_in_time(source: [u8; 4], at: SocketAddr) -> Self {
        Self::in_time(at, || connected(source, at))
    }

    /// Connects to a server that may not listen yet.
    pub(crate) fn connect_in_time(at: SocketAddr) -> Self {
        Self::in_time(at, || TcpStream::connect(at))
    }

    fn in_time(at: SocketAddr, connect: impl Fn() -> io::Result<TcpStream>) -> Self {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match connect() {
                Ok(stream) => return Self::within(stream),
                Err(error) if Instant::now() > deadline => panic!("{at}: {error}"),
                Err(_) => thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// A connection that is there already.
    pub(crate) fn within(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(TIMEOUT)).expect("a socket");
        stream.set_write_timeout(Some(TIMEOUT)).expect("a socket");
        Self(stream)
    }

    /// Sends `text`, and reads as many bytes back.
    pub(crate) fn ask(&mut self, text: &str) -> String {
        self.0.write_all(text.as_bytes()).expect("it reads");
        let mut answer = vec![0; text.len()];
        self.0.read_exact(&mut answer).expect("it answers");
        String::from_utf8(answer).expect("text")
    }

    /// Sends bytes and the end, and reads until the server ends: in order, or by a reset if it has not
    /// read all of them.
    pub(crate) fn send(mut self, bytes: &[u8]) -> Vec<u8> {
        let _ = self.0.write_all(bytes);
        let _ = self.0.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = self.0.read_to_end(&mut answer);
        answer
    }

    /// Ends this side, and reads until the other side ends.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.shutdown(Shutdown::Write).expect("it is there");
        self.rest()
    }

    /// Reads until the other side ends.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).expect("it ends in order");
        rest
    }
}
