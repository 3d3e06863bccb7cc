//! A running server: started, checked, and killed on drop.

use crate::place::{Place, Stream};
use crate::rows::Service;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A server process that has passed the check. It is killed when this value is dropped.
pub struct Running {
    child: Child,
    pub place: Place,
}

impl Running {
    /// Starts a server that listens on `place`, and waits until it has answered correctly. Its
    /// standard error goes to `log`.
    pub fn start(
        program: &Path,
        arguments: &[String],
        place: Place,
        service: Service,
        log: &Path,
    ) -> io::Result<Running> {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log)?)
            .spawn()?;
        let mut running = Running { child, place };
        running.wait_until_ready(service)?;
        Ok(running)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends TERM and waits for the exit, for a server that prints results at its end.
    pub fn terminate(mut self) -> io::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let deadline = Instant::now() + START_TIMEOUT;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Err(io::Error::other("the server does not exit after TERM"));
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    fn wait_until_ready(&mut self, service: Service) -> io::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!(
                    "the server exited at its start with {status}"
                )));
            }
            match self.place.connect(START_TIMEOUT) {
                Ok(stream) => {
                    return match service {
                        Service::Upper => check(stream),
                        Service::Chat => check_chat(stream),
                    };
                }
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => thread::sleep(POLL_INTERVAL),
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
fn check(mut stream: Stream) -> io::Result<()> {
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
fn check_chat(mut stream: Stream) -> io::Result<()> {
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
