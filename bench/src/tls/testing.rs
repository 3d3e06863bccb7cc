//! An uppercase echo over TLS for tests: blocking, with a thread for each connection.

use super::{Client, certificate_path, create_identity, key_path, server_config};
use crate::place::Place;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use tempfile::TempDir;

/// A server with a certificate of its own. It serves until the process ends.
pub struct Server {
    folder: TempDir,
    pub place: Place,
}

impl Server {
    pub fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        create_identity(folder.path()).unwrap();
        let (certificate, key) = (certificate_path(folder.path()), key_path(folder.path()));
        let config = server_config(&certificate, &key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = Place::Tcp(listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, config) = (stream.unwrap(), config.clone());
                // A client may end in the middle of its handshake.
                thread::spawn(move || echo(stream, config));
            }
        });
        Server { folder, place }
    }

    pub fn client(&self) -> Client {
        Client::new(self.folder.path()).unwrap()
    }
}

fn echo(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<()> {
    let session = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, stream);
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            stream.conn.send_close_notify();
            return stream.flush();
        }
        buffer[..count].make_ascii_uppercase();
        stream.write_all(&buffer[..count])?;
    }
}
