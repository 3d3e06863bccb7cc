//! Random scripts (sends of any size, pauses until all is answered, a half-close or an abrupt end)
//! are played to `service::upper` and to `asyncio_upper.py`. The transcripts must be the same.
//!
//! `HALVES_SEED=5 cargo test --test asyncio differential` repeats a failure.

mod framing;
mod python;

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::panic::resume_unwind;
use std::process::Child;
use std::sync::{Condvar, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fastrand::Rng;
use halves::{Connection, Executor, Handle, Reason, Report, Server, bind, service};
use rustix::net::sockopt::set_socket_linger;

use crate::differential::python::python;
use crate::support::seed::seed;
use crate::support::skip::skip;

const SCRIPTS: usize = 40;
/// One of so many scripts sends 8 MiB.
const LARGE_SCRIPT_INTERVAL: usize = 10;
/// How long a client waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// A send that takes longer has stalled. (A wrong guess does no harm.)
const STALL_TIMEOUT: Duration = Duration::from_millis(20);

#[test]
fn ours_answers_as_asyncio_does() {
    let Some(theirs) = Asyncio::start() else {
        skip("ours_answers_as_asyncio_does", "there is no python3");
        return;
    };
    let ours = Halves::start();
    let seed = seed();
    let mut resets = 0;
    for n in 0..SCRIPTS {
        let mut rng = Rng::with_seed(seed.wrapping_add(n as u64));
        let script = Script::random(&mut rng, n % LARGE_SCRIPT_INTERVAL == 0);
        resets += u64::from(script.end == End::Reset);
        let [ours, theirs] =
            [ours.address, theirs.address].map(|address| script.play_in_thread(address));
        let [ours, theirs] =
            [ours, theirs].map(|played| played.join().unwrap_or_else(|panic| resume_unwind(panic)));
        let what = format!("script {n} of HALVES_SEED={seed}: {script:?}");
        assert!(ours == theirs, "{what}\nours: {ours:?}\ntheirs: {theirs:?}");
        // And neither is wrong in the same way.
        assert!(ours == script.expected(), "{what}\nours: {ours:?}");
    }
    let stats = ours.stop().stats;
    assert_eq!(stats.accepted, SCRIPTS as u64);
    assert_eq!(stats.ended[Reason::Error], resets, "HALVES_SEED={seed}");
    assert_eq!(
        stats.ended[Reason::Eof],
        stats.accepted - resets,
        "HALVES_SEED={seed}"
    );
}

/// The actions of a client on one connection.
#[derive(Clone)]
struct Script {
    bytes: Vec<u8>,
    steps: Vec<Step>,
    end: End,
    /// The client reads nothing until it can send no more: then all buffers are full.
    late: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Sends so many bytes.
    Send(usize),
    /// Waits until everything sent is answered.
    Settle,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// Sends the end of input, and reads until the server does.
    HalfClose,
    /// Closes once everything is answered.
    Close,
    /// The same, with a reset.
    Reset,
}

/// The observations of a client.
#[derive(PartialEq)]
struct Transcript {
    answer: Vec<u8>,
    sent: Result<(), ErrorKind>,
    /// Whether the server ended the stream.
    end_of_input: Result<bool, ErrorKind>,
}

impl Script {
    fn random(rng: &mut Rng, big: bool) -> Self {
        let (total, most) = if big {
            (8 * 1024 * 1024, 1024 * 1024)
        } else {
            // Small sizes as often as large ones.
            let (total, most) = (1 << rng.u32(0..18), 1 << rng.u32(0..17));
            (rng.usize(0..total), most)
        };
        let mut bytes = vec![0; total];
        rng.fill(&mut bytes);
        let late = big || rng.bool();
        let (mut steps, mut left) = (Vec::new(), total);
        while left > 0 {
            // At most 64 sends.
            let n = rng.usize(1..=most).max(total / 64).min(left);
            steps.push(Step::Send(n));
            left -= n;
            if !late && rng.u8(0..3) == 0 {
                steps.push(Step::Settle);
            }
        }
        let end = *rng
            .choice(&[End::HalfClose, End::HalfClose, End::Close, End::Reset])
            .expect("one");
        Self {
            bytes,
            steps,
            end,
            late,
        }
    }

    fn expected(&self) -> Transcript {
        Transcript {
            answer: self.bytes.to_ascii_uppercase(),
            sent: Ok(()),
            end_of_input: Ok(self.end == End::HalfClose),
        }
    }

    fn play_in_thread(&self, server: SocketAddr) -> JoinHandle<Transcript> {
        let script = self.clone();
        thread::spawn(move || script.play(server))
    }

    /// Writes and reads at once, so that neither side waits for the other for ever.
    fn play(&self, server: SocketAddr) -> Transcript {
        let stream = TcpStream::connect(server).expect("connected");
        stream.set_nodelay(true).expect("set");
        stream.set_read_timeout(Some(TIMEOUT)).expect("set");
        stream.set_write_timeout(Some(STALL_TIMEOUT)).expect("set");
        let (answered, stalled) = (Progress::default(), Progress::default());
        thread::scope(|scope| {
            let sent = scope.spawn(|| {
                let sent = self.send(&stream, &answered, &stalled);
                stalled.set(1);
                sent.map_err(|error| error.kind())
            });
            if self.late {
                stalled.wait_for(1);
            }
            let (answer, end_of_input) = self.receive(&stream, &answered);
            let sent = sent.join().unwrap_or_else(|panic| resume_unwind(panic));
            if self.end == End::Reset {
                set_socket_linger(&stream, Some(Duration::ZERO)).expect("set");
            }
            Transcript {
                answer,
                sent,
                end_of_input,
            }
        })
    }

    fn send(&self, stream: &TcpStream, answered: &Progress, stalled: &Progress) -> io::Result<()> {
        let mut sent = 0;
        for step in &self.steps {
            match step {
                Step::Send(n) => {
                    send_all(stream, &self.bytes[sent..][..*n], stalled)?;
                    sent += n;
                }
                Step::Settle => answered.wait_for(sent),
            }
        }
        if self.end == End::HalfClose {
            stream.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    fn receive(
        &self,
        mut stream: &TcpStream,
        answered: &Progress,
    ) -> (Vec<u8>, Result<bool, ErrorKind>) {
        let mut answer = Vec::new();
        let mut buf = vec![0; 64 * 1024];
        let end = loop {
            if self.end != End::HalfClose && answer.len() >= self.bytes.len() {
                break Ok(false);
            }
            match stream.read(&mut buf) {
                Ok(0) => break Ok(true),
                Ok(n) => answer.extend(&buf[..n]),
                Err(error) => break Err(error.kind()),
            }
            answered.set(answer.len());
        };
        // Ends the wait for an answer.
        answered.set(usize::MAX);
        (answer, end)
    }
}

/// As `write_all`, and reports a stall.
fn send_all(mut stream: &TcpStream, mut bytes: &[u8], stalled: &Progress) -> io::Result<()> {
    let mut waited = Duration::ZERO;
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(n) => (bytes, waited) = (&bytes[n..], Duration::ZERO),
            Err(error) if error.kind() == ErrorKind::WouldBlock && waited < TIMEOUT => {
                stalled.set(1);
                waited += STALL_TIMEOUT;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A number that one thread raises and another waits for.
#[derive(Default)]
struct Progress(Mutex<usize>, Condvar);

impl Progress {
    fn set(&self, n: usize) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = n;
        self.1.notify_all();
    }

    fn wait_for(&self, n: usize) {
        let reached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.1.wait_while(reached, |reached| *reached < n));
    }
}

/// The server of this library, on a thread.
struct Halves {
    address: SocketAddr,
    handle: Handle,
    thread: JoinHandle<io::Result<Report>>,
}

impl Halves {
    fn start() -> Self {
        let (sender, receiver) = mpsc::channel();
        let thread = thread::spawn(move || {
            let ex = Executor::new();
            ex.block_on(async {
                let listener = bind("127.0.0.1:0").await?;
                let server = Server::default();
                let address = listener.local_addrs()[0].socket_addr().expect("it is TCP");
                sender
                    .send((address, server.handle()))
                    .expect("the test waits");
                let upper =
                    async |Connection { reader, writer, .. }| service::upper(reader, writer).await;
                server.serve(&ex, listener, upper).await
            })
        });
        let (address, handle) = receiver.recv().expect("it listens");
        Self {
            address,
            handle,
            thread,
        }
    }

    fn stop(self) -> Report {
        self.handle.shutdown().drain();
        let report = self
            .thread
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic));
        report.expect("the server ends well")
    }
}

/// The server of Python, in a process that ends with this value.
struct Asyncio {
    address: SocketAddr,
    process: Child,
}

impl Asyncio {
    /// None if there is no python3.
    fn start() -> Option<Self> {
        let mut process = python("asyncio_upper.py")?;
        let mut port = String::new();
        let stdout = process.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut port).expect("a port");
        let port: u16 = port.trim().parse().expect("a port");
        Some(Self {
            address: ([127, 0, 0, 1], port).into(),
            process,
        })
    }
}

impl Drop for Asyncio {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (size, steps, end) = (self.bytes.len(), &self.steps, self.end);
        let late = if self.late { ", read late" } else { "" };
        write!(f, "{size} bytes by {steps:?}{late}, then {end:?}")
    }
}

impl std::fmt::Debug for Transcript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            answer,
            sent,
            end_of_input,
        } = self;
        let begin = &answer[..answer.len().min(80)];
        let begin = begin.escape_ascii();
        write!(
            f,
            "sent: {sent:?}, end of input: {end_of_input:?}, {} bytes of answer: {begin}…",
            answer.len()
        )
    }
}
