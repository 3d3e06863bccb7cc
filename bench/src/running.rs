//! A server that runs: started on a free port, checked, ended when dropped.

use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A child process that answers. It never outlives this value.
pub struct Running {
    child: Child,
    pub address: SocketAddr,
}

impl Running {
    /// Starts a server and waits until it has echoed correctly.
    ///
    /// `arguments` learns the port. What the server writes to standard error goes to `log`.
    pub fn start<S: AsRef<OsStr>>(
        program: &Path,
        arguments: impl FnOnce(u16) -> Vec<S>,
        log: &Path,
    ) -> io::Result<Running> {
        let port = free_port()?;
        let child = Command::new(program)
            .args(arguments(port))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log)?)
            .spawn()?;
        let mut running = Running {
            child,
            address: (Ipv4Addr::LOCALHOST, port).into(),
        };
        running.wait_until_ready()?;
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

    fn wait_until_ready(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("ended at once with {status}")));
            }
            match connect(self.address) {
                Ok(stream) => return check(stream),
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

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// A free port may be picked as one's own port: then TCP connects the socket to itself.
fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    match stream.local_addr()? == address {
        true => Err(io::Error::other("connected to itself")),
        false => Ok(stream),
    }
}

/// The service: letters change, nothing else does; the answer ends after the question has ended.
fn check(mut stream: TcpStream) -> io::Result<()> {
    let mut answer = Vec::new();
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"`az{ AZ 09 \xe9\xff\0\n")?;
    stream.shutdown(Shutdown::Write)?;
    stream.read_to_end(&mut answer)?;
    match answer == b"`AZ{ AZ 09 \xe9\xff\0\n" {
        true => Ok(()),
        false => Err(io::Error::other("does not serve the uppercase echo")),
    }
}

const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);
