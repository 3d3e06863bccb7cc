//! Where a server is, and connections to it.

use rustix::net::sockopt::{Timeout, set_socket_linger, set_socket_timeout, set_tcp_nodelay};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A connected socket.
pub struct Stream(OwnedFd);

impl Place {
    /// A port of this machine that is free now.
    pub fn free_port() -> io::Result<Place> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Place::Tcp(listener.local_addr()?))
    }

    /// What `{port}` stands for.
    pub fn port(&self) -> String {
        match self {
            Place::Tcp(address) => address.port().to_string(),
            Place::Unix(_) => String::new(),
        }
    }

    /// What `{path}` stands for.
    pub fn path(&self) -> String {
        match self {
            Place::Tcp(_) => String::new(),
            Place::Unix(path) => path.display().to_string(),
        }
    }

    /// Connects, sends without delay, and waits for nothing longer than `patience`.
    pub fn connect(&self, patience: Duration) -> io::Result<Stream> {
        let stream = match self {
            Place::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, patience)?;
                // A free port may be picked as one's own port: then TCP connects it to itself.
                if stream.local_addr()? == *address {
                    return Err(io::Error::other("connected to itself"));
                }
                set_tcp_nodelay(&stream, true)?;
                Stream(stream.into())
            }
            Place::Unix(path) => Stream(UnixStream::connect(path)?.into()),
        };
        stream.set_patience(patience)?;
        Ok(stream)
    }
}

impl Stream {
    /// Takes over a socket that is connected.
    pub fn new(socket: OwnedFd) -> Stream {
        Stream(socket)
    }

    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        Ok(set_socket_timeout(self, Timeout::Recv, Some(patience))?)
    }

    pub fn set_nonblocking(&self) -> io::Result<()> {
        Ok(rustix::io::ioctl_fionbio(self, true)?)
    }

    /// Has its close reset it, where it is TCP.
    pub fn reset_on_close(&self) -> io::Result<()> {
        Ok(set_socket_linger(self, Some(Duration::ZERO))?)
    }

    /// Ends this side.
    pub fn finish(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(self, rustix::net::Shutdown::Write)?)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(self, buffer)?)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(self, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::env;
    use std::fs;
    use std::os::unix::net::UnixListener;
    use std::process;

    #[test]
    fn both_kinds_of_places_are_connected_to() {
        let patience = Duration::from_secs(10);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let tcp = Place::Tcp(listener.local_addr().unwrap());
        let mut client = tcp.connect(patience).unwrap();
        client.write_all(b"over TCP").unwrap();
        client.finish().unwrap();
        let mut heard = String::new();
        let (mut server, _) = listener.accept().unwrap();
        server.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "over TCP");

        let path = env::temp_dir().join(format!("halves-bench-{}", process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let mut client = Place::Unix(path.clone()).connect(patience).unwrap();
        fs::remove_file(&path).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(b"unix").unwrap();
        client.read_exact(&mut [0; 4]).unwrap();
        client.set_patience(Duration::from_millis(1)).unwrap();
        let silence = client.read(&mut [0]).unwrap_err();
        assert_eq!(silence.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn each_fills_in_what_it_has() {
        let tcp = Place::Tcp((Ipv4Addr::LOCALHOST, 7000).into());
        assert_eq!((tcp.port(), tcp.path()), ("7000".into(), String::new()));
        let unix = Place::Unix("/tmp/x".into());
        assert_eq!((unix.port(), unix.path()), (String::new(), "/tmp/x".into()));
    }
}
