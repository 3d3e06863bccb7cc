//! A running server: started, checked, and killed on drop.

use crate::load::{ANSWER_TIMEOUT, PROXY_HEADER};
use crate::origin::Origin;
use crate::place::{Place, Stream, Transport};
use crate::rows::{Layer, Row, Service};
use crate::servers::Server;
use crate::tls::{Client, TlsStream};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A server process that has passed the check. It is killed when this value is dropped.
pub struct Running {
    child: Child,
    pub place: Place,
    /// The file with its standard error.
    log: PathBuf,
    client: Option<Client>,
    /// The server behind a relay.
    _origin: Option<Origin>,
}

impl Running {
    /// Starts a server and waits until it has answered correctly.
    ///
    /// `prefix` is the command that runs it, such as valgrind, or empty. `folder` has the
    /// certificate, and gets the log.
    pub fn start(
        server: &Server,
        row: &Row,
        prefix: &[&str],
        folder: &Path,
    ) -> io::Result<Running> {
        let place = server.place(folder)?;
        let log = folder.join(format!("{}.log", server.name));
        let program = server.program.display().to_string();
        let origin = match server.service {
            Service::Relay => Some(Origin::start(row, folder)?),
            _ => None,
        };
        let port = origin.as_ref().map_or(String::new(), Origin::port);
        let arguments = server.arguments(row, &place, folder);
        let arguments = arguments.iter().map(|word| word.replace("{origin}", &port));
        if let Some(config) = server.config {
            let config = server.fill(config, row, &place, folder);
            fs::write(
                server.config_path(folder),
                config.replace("{origin}", &port),
            )?;
        }
        let mut words = prefix.iter().copied().map(String::from).chain([program]);
        let child = Command::new(words.next().unwrap_or_default())
            .args(words)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        let mut running = Running {
            child,
            place,
            log,
            client: None,
            _origin: origin,
        };
        if server.layer == Layer::Tls {
            running.client = Some(Client::new(folder)?);
        }
        running.wait_until_ready(server)?;
        Ok(running)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the client of a server with TLS.
    pub fn client(&self) -> io::Result<&Client> {
        let missing = || io::Error::other("the server has no TLS");
        self.client.as_ref().ok_or_else(missing)
    }

    /// Connects with a full TLS handshake.
    pub fn connect_tls(&self) -> io::Result<TlsStream> {
        self.client()?.connect(self.place.connect(ANSWER_TIMEOUT)?)
    }

    /// Sends TERM and waits for the exit. Returns the log, for a server that prints results at its
    /// end.
    pub fn terminate(mut self) -> io::Result<String> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let deadline = Instant::now() + START_TIMEOUT;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Err(io::Error::other("the server does not exit after TERM"));
            }
            thread::sleep(POLL_INTERVAL);
        }
        fs::read_to_string(&self.log)
    }

    fn wait_until_ready(&mut self, server: &Server) -> io::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!(
                    "the server exited at its start with {status}"
                )));
            }
            match self.place.connect(START_TIMEOUT) {
                Ok(stream) => return self.check(server, stream),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => thread::sleep(POLL_INTERVAL),
            }
        }
    }

    fn check(&self, server: &Server, mut stream: Stream) -> io::Result<()> {
        match (server.service, server.layer) {
            (Service::Chat, _) => check_chat(stream),
            (_, Layer::None) => check(stream),
            (_, Layer::Tls) => check(self.client()?.connect(stream)?),
            (_, Layer::Proxy) => {
                stream.write_all(&PROXY_HEADER)?;
                check(stream)
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if the child has exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Checks the echo: only the letters a to z change, and the answer ends after the question.
fn check(mut stream: impl Transport) -> io::Result<()> {
    let mut answer = Vec::new();
    stream.write_all(b"`az{ AZ 09 \xe9\xff\0\n")?;
    stream.finish()?;
    stream.read_to_end(&mut answer)?;
    match answer == b"`AZ{ AZ 09 \xe9\xff\0\n" {
        true => Ok(()),
        false => Err(io::Error::other("the answer is not the uppercase echo")),
    }
}

/// Checks that a client receives its own frame.
fn check_chat(mut stream: impl Transport) -> io::Result<()> {
    let mut received = [0; 6];
    stream.write_all(b"hello\0")?;
    stream.read_exact(&mut received)?;
    match &received == b"hello\0" {
        true => Ok(()),
        false => Err(io::Error::other("the server did not send the frame back")),
    }
}

/// For the start, the check and the exit.
const START_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(5);
