//! A server that runs: started, checked, ended when dropped.

use crate::place::{Place, Stream};
use crate::rows::Service;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A child process that answers. It never outlives this value.
pub struct Running {
    child: Child,
    pub place: Place,
}

impl Running {
    /// Starts a server that is to listen at `place`, and waits until it has echoed correctly. What
    /// it writes to standard error goes to `log`.
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

    /// Asks the server to end, for one that has something to say at its end.
    pub fn terminate(mut self) -> io::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Err(io::Error::other("does not end when asked to"));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn wait_until_ready(&mut self, service: Service) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("ended at once with {status}")));
            }
            match self.place.connect(PATIENCE) {
                Ok(stream) => {
                    return match service {
                        Service::Upper => check(stream),
                        Service::Chat => check_chat(stream),
                    };
                }
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when the child has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The service: letters change, nothing else does; the answer ends after the question has ended.
fn check(mut stream: Stream) -> io::Result<()> {
    let mut answer = Vec::new();
    stream.write_all(b"`az{ AZ 09 \xe9\xff\0\n")?;
    stream.finish()?;
    stream.read_to_end(&mut answer)?;
    match answer == b"`AZ{ AZ 09 \xe9\xff\0\n" {
        true => Ok(()),
        false => Err(io::Error::other("does not serve the uppercase echo")),
    }
}

/// Who says something hears it, too.
fn check_chat(mut stream: Stream) -> io::Result<()> {
    let mut heard = [0; 6];
    stream.write_all(b"hello\0")?;
    stream.read_exact(&mut heard)?;
    match &heard == b"hello\0" {
        true => Ok(()),
        false => Err(io::Error::other("does not serve the chat")),
    }
}

const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);
