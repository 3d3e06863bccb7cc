//! Connects at full load while a server is restarted, and counts what clients lose:
//!
//!     cargo run --release -p halves-bench --bin restarts -- [--halves PATH] [--connects N]
//!         [--restarts N] [--clients N]
//!
//! The servers are `halves serve upper`, `halves proxy`, and HAProxy with its own reload (USR2 to
//! its master). Both relays have `halves serve upper` as their target.

use std::error::Error;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use lexopt::prelude::{Long, ValueExt};
use rustix::process::{Pid, Signal, kill_process};

/// The bytes that a client sends, and gets back.
const BYTES: usize = 1000;
/// The longest wait of a client for its answer.
const TIMEOUT: Duration = Duration::from_secs(10);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Options {
    halves: PathBuf,
    connects: u64,
    restarts: u64,
    clients: usize,
}

/// The results of the clients.
#[derive(Debug, Default)]
struct Counts {
    connects: AtomicU64,
    refused: AtomicU64,
    reset: AtomicU64,
    /// Answers that end early, or do not come.
    cut: AtomicU64,
    lost_bytes: AtomicU64,
}

/// A running server. Dropped, it is ended.
struct Server {
    child: Child,
    /// The process that gets the signal for a restart.
    pid: Arc<AtomicU32>,
    restarted: Arc<AtomicU64>,
    at: SocketAddr,
}

fn main() -> Result<()> {
    let options = Options::parse()?;
    let config = env::temp_dir().join(format!("halves-restarts-{}.cfg", process::id()));
    let upper = ["serve", "upper", "--listen", "127.0.0.1:0"];
    let origin = Server::halves(&options.halves, &upper)?;
    let target = origin.at.to_string();
    println!("| server | connects | restarts | refused | reset | cut | bytes lost | connects/s |");
    println!("|---|---|---|---|---|---|---|---|");
    let server = Server::halves(&options.halves, &upper)?;
    options.measure("halves serve upper", &server)?;
    let relay = ["proxy", &target, "--listen", "127.0.0.1:0"];
    let server = Server::halves(&options.halves, &relay)?;
    options.measure("halves proxy", &server)?;
    match Server::haproxy(&config, &target) {
        Ok(server) => options.measure("HAProxy", &server)?,
        Err(error) => eprintln!("skipped: HAProxy: {error}"),
    }
    let _ = fs::remove_file(&config);
    Ok(())
}

impl Options {
    fn parse() -> Result<Self> {
        let beside = env::current_exe()?.with_file_name("halves");
        let mut options = Self {
            halves: beside,
            connects: 100_000,
            restarts: 10,
            clients: 8,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Long("halves") => options.halves = parser.value()?.into(),
                Long("connects") => options.connects = parser.value()?.parse()?,
                Long("restarts") => options.restarts = parser.value()?.parse()?,
                Long("clients") => options.clients = parser.value()?.parse()?,
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }

    /// Connects as often as the options say, with restarts at equal distances, and prints a row.
    fn measure(&self, name: &str, server: &Server) -> Result<()> {
        let counts = Counts::default();
        let start = Instant::now();
        thread::scope(|scope| {
            for _ in 0..self.clients {
                scope.spawn(|| {
                    while counts.connects.fetch_add(1, Ordering::Relaxed) < self.connects {
                        counts.add(ask(server.at));
                    }
                });
            }
            for n in 1..=self.restarts {
                let at = n * self.connects / (self.restarts + 1);
                while counts.connects.load(Ordering::Relaxed) < at {
                    thread::sleep(Duration::from_millis(1));
                }
                server.signal(Signal::USR2);
            }
        });
        let rate = Duration::from_secs(self.connects).as_secs_f64() / start.elapsed().as_secs_f64();
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        println!(
            "| {name} | {} | {} | {} | {} | {} | {} | {rate:.0} |",
            self.connects,
            count(&server.restarted),
            count(&counts.refused),
            count(&counts.reset),
            count(&counts.cut),
            count(&counts.lost_bytes),
        );
        Ok(())
    }
}

impl Counts {
    fn add(&self, (received, result): (usize, io::Result<()>)) {
        let Err(error) = result else {
            return;
        };
        let counter = match error.kind() {
            ErrorKind::ConnectionRefused => &self.refused,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => &self.reset,
            _ => &self.cut,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let lost = u64::try_from(BYTES - received).unwrap_or_default();
        self.lost_bytes.fetch_add(lost, Ordering::Relaxed);
    }
}

/// Sends a request and the end, and reads the answer. Returns the bytes of the answer.
fn ask(at: SocketAddr) -> (usize, io::Result<()>) {
    let mut received = 0;
    let result = try_ask(at, &mut received);
    (received, result)
}

fn try_ask(at: SocketAddr, received: &mut usize) -> io::Result<()> {
    let mut stream = loop {
        match TcpStream::connect(at) {
            // The ports of this machine are used up for a moment.
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => thread::yield_now(),
            connected => break connected?,
        }
    };
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(&[b'x'; BYTES])?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = [0; BYTES + 1];
    loop {
        match stream.read(&mut answer[*received..])? {
            0 if *received == BYTES => return Ok(()),
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            n => *received += n,
        }
    }
}

impl Server {
    fn halves(program: &Path, args: &[&str]) -> Result<Self> {
        let mut command = Command::new(program);
        // The line of each connection would be most of the work.
        let mut child = command.args(args).stderr(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stderr.take().ok_or("no log")?).lines();
        let first = lines.next().ok_or("it does not start")??;
        let (_, rest) = first.split_once("local=").ok_or(first.clone())?;
        let at = rest.split(' ').next().unwrap_or_default().parse()?;
        let pid = Arc::new(AtomicU32::new(child.id()));
        let restarted = Arc::new(AtomicU64::new(0));
        let (now, count) = (pid.clone(), restarted.clone());
        thread::spawn(move || {
            for line in lines.map_while(io::Result::ok) {
                if let Some(pid) = line.strip_prefix("restarted pid=") {
                    now.store(pid.parse().unwrap_or_default(), Ordering::Relaxed);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Ok(Self {
            child,
            pid,
            restarted,
            at,
        })
    }

    /// HAProxy as a master with one worker of one thread. A reload gets the sockets of the worker.
    fn haproxy(config: &Path, target: &str) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let socket = config.with_extension("sock");
        let text = format!(
            "global\n  nbthread 1\n  stats socket {} expose-fd listeners\n\
             defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
             listen relay\n  bind {port}\n  server one {target}\n",
            socket.display()
        );
        fs::write(config, text)?;
        let mut command = Command::new("haproxy");
        command.arg("-W").arg("-f").arg(config);
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let log = BufReader::new(child.stderr.take().ok_or("no log")?);
        let restarted = Arc::new(AtomicU64::new(0));
        let count = restarted.clone();
        thread::spawn(move || {
            for line in log.lines().map_while(io::Result::ok) {
                if line.contains("Reexecuting Master process") || line.contains("Reloading") {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let deadline = Instant::now() + TIMEOUT;
        while TcpStream::connect(port).is_err() {
            if Instant::now() > deadline {
                return Err("it does not listen".into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(Self {
            pid: Arc::new(AtomicU32::new(child.id())),
            child,
            restarted,
            at: port,
        })
    }

    fn signal(&self, signal: Signal) {
        let pid = self.pid.load(Ordering::Relaxed).cast_signed();
        if let Some(pid) = Pid::from_raw(pid) {
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let _ = self.child.wait();
    }
}
