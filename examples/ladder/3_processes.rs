//! Step 3, a process per connection: `cargo run --release --example ladder_03 -- 127.0.0.1:50007`
//!
//! Adds: walls. What a connection does to its memory, or how it dies, is nothing to the others, and none of
//! them needs a lock.
//! Still wrong: a start and a whole process for each connection; what connections share has to go through
//! files or pipes. Whoever ends the first process alone, not its group as Ctrl-C does, leaves the others.
//! In the article: `ForkingTCPServer`. A fork there leaves the child every descriptor of its parent, and the
//! parent every child that has ended. Fork is not safe in Rust, where another thread may hold a lock that the
//! copy waits for in vain; here the program starts itself again, with the connection as standard input, as
//! inetd would. Its other descriptors close by themselves. Who has ended is reaped when the next client comes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::{env, path::Path};

use rustix::process::{WaitOptions, wait};

const CONNECTION: &str = "--connection-as-standard-input";

fn main() -> io::Result<()> {
    let argument = env::args().nth(1).unwrap_or("127.0.0.1:50007".into());
    if argument == CONNECTION {
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
        // Those that ended meanwhile: an ended process is a line in the system's table until somebody asks.
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        if let Err(error) = start(&program, sock) {
            let _ = writeln!(io::stderr(), "No process for {addr}: {error}");
        }
    }
}

/// Starts a process that has the connection. Ours is closed on return: were it left open, the client would
/// never see the end.
fn start(program: &Path, sock: TcpStream) -> io::Result<()> {
    let mut command = Command::new(program);
    command.arg(CONNECTION).stdin(OwnedFd::from(sock));
    command.stdout(Stdio::null()).spawn().map(drop)
}

/// Talks to one client until it is gone.
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
        let n = sock.read(&mut data)?; // Blocks this process, and no other.
        if n == 0 {
            return Ok(());
        }
        data[..n].make_ascii_uppercase();
        sock.write_all(&data[..n])?;
    }
}
