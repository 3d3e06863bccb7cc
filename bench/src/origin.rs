//! The server behind a relay: the echo in C, in a process of its own.

use crate::place::Place;
use crate::rows::Row;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A running server. It is killed when this value is dropped.
pub struct Origin {
    child: Child,
    place: Place,
}

impl Origin {
    /// Starts the server and waits until it accepts. `folder` has the program.
    pub fn start(row: &Row, folder: &Path) -> io::Result<Origin> {
        let program = program(folder);
        if !program.is_file() {
            return Err(io::Error::other("the server behind the relay needs cc"));
        }
        let place = Place::free_port()?;
        let child = Command::new(program)
            .args(["--nodelay", "--port", &place.port()])
            .args(["--buffer", &row.buffer.to_string()])
            .stdin(Stdio::null())
            .spawn()?;
        let origin = Origin { child, place };
        let deadline = Instant::now() + START_TIMEOUT;
        while let Err(error) = origin.place.connect(START_TIMEOUT) {
            if Instant::now() > deadline {
                return Err(error);
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(origin)
    }

    pub fn port(&self) -> String {
        self.place.port()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        // Both fail only if the child has exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the path of the program in `folder`.
pub fn program(folder: &Path) -> PathBuf {
    folder.join("epoll")
}

/// The source of the program.
pub const SOURCE: &str = "epoll.c";
const START_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(5);
