//! Step 2, a thread per connection: `cargo run --release --example ladder_02 -- 127.0.0.1:50007`
//!
//! Adds: all clients are served at once. Each connection has a thread, which may block; the code of
//! a connection is that of step 1.
//! Still wrong: a stack for each connection, a thread switch for each message, and locks around
//! shared data. The number of connections has no limit of its own: if the system has no more
//! threads, the client is disconnected.
//! In the article: "threads and processes to handle connections at the same time", its
//! `ThreadingTCPServer`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:50007".into());
    let serv_sock = TcpListener::bind(address)?;
    writeln!(io::stderr(), "listening local={}", serv_sock.local_addr()?)?;
    loop {
        let (sock, addr) = serv_sock.accept()?;
        let thread = thread::Builder::new().spawn(move || handle_connection(sock, addr));
        if let Err(error) = thread {
            let _ = writeln!(io::stderr(), "No thread for {addr}: {error}");
        }
    }
}

/// Serves one client until it disconnects. An error ends only this connection.
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
        let n = sock.read(&mut data)?; // Blocks only this thread.
        if n == 0 {
            return Ok(());
        }
        data[..n].make_ascii_uppercase();
        sock.write_all(&data[..n])?;
    }
}
