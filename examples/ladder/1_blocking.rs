//! Step 1, blocking: `cargo run --release --example ladder_01 -- 127.0.0.1:50007`
//!
//! Adds: a server. It accepts a client, answers in capital letters until the client disconnects,
//! and only then accepts the next.
//! Still wrong: one client at a time. A second client waits until the first disconnects, even if
//! the first is idle. Any error of `accept` ends the server; this is so until step 9.
//! In the article: `serv_sock.accept()` and `sock.recv(1024)` alone, the "synchronous code with
//! blocking sockets" of its last paragraph.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:50007".into());
    let serv_sock = TcpListener::bind(address)?;
    writeln!(io::stderr(), "listening local={}", serv_sock.local_addr()?)?;
    loop {
        let (sock, addr) = serv_sock.accept()?; // Blocks until a client connects.
        handle_connection(sock, addr);
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
        let n = sock.read(&mut data)?; // Blocks until the client sends.
        if n == 0 {
            return Ok(());
        }
        data[..n].make_ascii_uppercase();
        // The article calls `send` once, which may send only a part. This sends all.
        sock.write_all(&data[..n])?;
    }
}
