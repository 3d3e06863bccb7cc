//! Step 3, a process per connection: `cargo run --release --example ladder_03 -- 127.0.0.1:50007`
//!
//! Adds: isolation. A crash of one connection or an error in its memory does not affect the others,
//! and none needs a lock.
//! Still wrong: a process to start for each connection; shared data has to pass through files or
//! pipes. A signal to the first process alone, not to its group as by Ctrl-C, leaves the others
//! running.
//! In the article: `ForkingTCPServer`. There a forked child keeps every descriptor of its parent,
//! and exited children stay zombies. Fork is not safe in Rust: another thread may hold a lock that
//! the copy then waits for in vain. Here the program starts itself again, with the connection as
//! standard input, as inetd does. Other descriptors are closed on exec. Exited children are reaped
//! when the next client connects.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::{env, path::Path};

use rustix::process::{WaitOptions, wait};

const CONNECTION_FLAG: &str = "--connection-as-standard-input";

fn main() -> io::Result<()> {
    let argument = env::args().nth(1).unwrap_or("127.0.0.1:50007".into());
    if argument == CONNECTION_FLAG {
        let sock = TcpStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let addr = sock.peer_addr()?;
        handle_connection(sock, addr);
        return Ok(());
    }
    let serv_sock = TcpListener::bind(argument)?;
    writeln!(io::stderr(), "listening local={}", serv_sock.local_addr()?)?;
    let program = env::current_exe()?;
    loop {
        let (sock, addr) = serv_sock.accept()?;
        // Reaps the children that have exited; they are zombies until then.
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        if let Err(error) = start(&program, sock) {
            let _ = writeln!(io::stderr(), "No process for {addr}: {error}");
        }
    }
}

/// Starts a process for the connection. This process closes its own descriptor on return; otherwise
/// the client would never see the end.
fn start(program: &Path, sock: TcpStream) -> io::Result<()> {
    let mut command = Command::new(program);
    command.arg(CONNECTION_FLAG).stdin(OwnedFd::from(sock));
    command.stdout(Stdio::null()).spawn().map(drop)
}

/// Serves one client until it disconnects.
fn handle_connection(sock: TcpStream, addr: SocketAddr) {
    let _ = writeln!(io::stderr(), "Connected by {addr}");
    if let Err(error) = upper(sock) {
        let _ = writeln!(io::stderr(), "Client {addr} suddenly closed: {error}");
    }
    let _ = writeln!(io::stderr(), "Disconnected by {addr}");
}

fn upper(mut sock: TcpStream) -> io::Result<()> {
    let mut data = [0; 1024];
    loop {
        let n = sock.read(&mut data)?; // Blocks only this process.
        if n == 0 {
            return Ok(());
        }
        data[..n].make_ascii_uppercase();
        sock.write_all(&data[..n])?;
    }
}
