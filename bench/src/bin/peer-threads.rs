//! The uppercase echo on the standard library: one thread for each connection.

use halves_bench::peer::PeerOptions;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

fn main() -> io::Result<()> {
    let options = PeerOptions::from_env();
    let listener = TcpListener::bind(options.address())?;
    loop {
        let (stream, _) = listener.accept()?;
        if options.nodelay {
            stream.set_nodelay(true)?;
        }
        // A broken connection ends only this thread.
        thread::Builder::new().spawn(move || drop(echo(stream, options.buffer)))?;
    }
}

fn echo(mut stream: TcpStream, buffer: usize) -> io::Result<()> {
    let mut buffer = vec![0; buffer];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        buffer[..count].make_ascii_uppercase();
        stream.write_all(&buffer[..count])?;
    }
}
