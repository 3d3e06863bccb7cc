//! The address of a server, connections to it, and the client's side of the layers on them.

use rustix::net::sockopt::{Timeout, set_socket_linger, set_socket_timeout, set_tcp_nodelay};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// The address that a server listens on.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A connected socket.
pub struct Stream(OwnedFd);

/// A connection, with TLS or without.
pub trait Transport: Read + Write {
    /// The socket beneath.
    fn socket(&self) -> &Stream;

    /// Ends the writing side.
    fn finish(&mut self) -> io::Result<()>;

    /// Returns true if `write` took bytes that the socket has not. The next call sends more.
    fn has_unsent(&self) -> bool;
}

impl Place {
    /// Finds a free TCP port of this machine.
    pub fn free_port() -> io::Result<Place> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Place::Tcp(listener.local_addr()?))
    }

    /// Returns the value of `{port}`.
    pub fn port(&self) -> String {
        match self {
            Place::Tcp(address) => address.port().to_string(),
            Place::Unix(_) => String::new(),
        }
    }

    /// Returns the value of `{path}`.
    pub fn path(&self) -> String {
        match self {
            Place::Tcp(_) => String::new(),
            Place::Unix(path) => path.display().to_string(),
        }
    }

    /// Connects, with TCP_NODELAY on TCP, and with `timeout` for the connect and each read.
    pub fn connect(&self, timeout: Duration) -> io::Result<Stream> {
        let stream = match self {
            Place::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, timeout)?;
                // The kernel may choose the same port for the client: then the socket connects to
                // itself.
                if stream.local_addr()? == *address {
                    return Err(io::Error::other("connected to itself"));
                }
                set_tcp_nodelay(&stream, true)?;
                Stream(stream.into())
            }
            Place::Unix(path) => Stream(UnixStream::connect(path)?.into()),
        };
        stream.set_read_timeout(timeout)?;
        Ok(stream)
    }
}

impl Stream {
    /// Takes over a connected socket.
    pub fn new(socket: OwnedFd) -> Stream {
        Stream(socket)
    }

    pub fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        Ok(set_socket_timeout(self, Timeout::Recv, Some(timeout))?)
    }

    pub fn set_nonblocking(&self) -> io::Result<()> {
        Ok(rustix::io::ioctl_fionbio(self, true)?)
    }

    /// Makes the close of a TCP socket reset the connection.
    pub fn reset_on_close(&self) -> io::Result<()> {
        Ok(set_socket_linger(self, Some(Duration::ZERO))?)
    }
}

impl Transport for Stream {
    fn socket(&self) -> &Stream {
        self
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(rustix::net::shutdown(self, rustix::net::Shutdown::Write)?)
    }

    fn has_unsent(&self) -> bool {
        false
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
    fn connects_over_tcp_and_unix() {
        let timeout = Duration::from_secs(10);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let tcp = Place::Tcp(listener.local_addr().unwrap());
        let mut client = tcp.connect(timeout).unwrap();
        client.write_all(b"over TCP").unwrap();
        client.finish().unwrap();
        let mut received = String::new();
        let (mut server, _) = listener.accept().unwrap();
        server.read_to_string(&mut received).unwrap();
        assert_eq!(received, "over TCP");

        let path = env::temp_dir().join(format!("halves-bench-{}", process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let mut client = Place::Unix(path.clone()).connect(timeout).unwrap();
        fs::remove_file(&path).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(b"unix").unwrap();
        client.read_exact(&mut [0; 4]).unwrap();
        client.set_read_timeout(Duration::from_millis(1)).unwrap();
        let error = client.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_place_fills_in_its_port_or_its_path() {
        let tcp = Place::Tcp((Ipv4Addr::LOCALHOST, 7000).into());
        assert_eq!((tcp.port(), tcp.path()), ("7000".into(), String::new()));
        let unix = Place::Unix("/tmp/x".into());
        assert_eq!((unix.port(), unix.path()), (String::new(), "/tmp/x".into()));
    }
}
