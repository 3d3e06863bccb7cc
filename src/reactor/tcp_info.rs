//! The byte counts and times that the kernel keeps for a TCP connection: `TCP_INFO` of tcp(7).

// The option is read into bytes of ours.
#![allow(unsafe_code)]

use std::os::fd::BorrowedFd;
use std::time::Duration;

/// The traffic of a TCP connection, as the kernel counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TcpInfo {
    /// Bytes received, read or not.
    pub(crate) received: u64,
    /// Bytes written, sent or not. Retransmissions are not counted.
    pub(crate) written: u64,
    /// The time since the last byte was received, or since the connection was made.
    pub(crate) since_received: Duration,
    /// The time since the last byte was sent, or since the connection was made.
    pub(crate) since_sent: Duration,
}

/// Asks the kernel. Returns None if the descriptor is no TCP socket, if the kernel is older than
/// 4.19, and on other systems.
#[cfg(target_os = "linux")]
pub(crate) fn tcp_info(socket: BorrowedFd<'_>) -> Option<TcpInfo> {
    use std::os::fd::AsRawFd;

    let mut info = [0; INFO_BYTES as usize];
    let mut length = INFO_BYTES;
    // SAFETY: the kernel writes at most `length` bytes to `info`, and the length that it has written
    // to `length`. Both outlive the call.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    (failed == 0 && length == INFO_BYTES).then(|| parse(&info))
}

/// Returns None.
#[cfg(not(target_os = "linux"))]
pub(crate) fn tcp_info(_: BorrowedFd<'_>) -> Option<TcpInfo> {
    None
}

/// The bytes of `struct tcp_info` of <linux/tcp.h> up to the last field that is used. Fields are
/// only ever added at its end.
#[cfg(target_os = "linux")]
const INFO_BYTES: libc::socklen_t = 216;

#[cfg(target_os = "linux")]
fn parse(info: &[u8; INFO_BYTES as usize]) -> TcpInfo {
    // From <net/tcp_states.h>.
    const FIN_WAIT1: u8 = 4;
    const TIME_WAIT: u8 = 6;
    const CLOSE: u8 = 7;
    const CLOSE_WAIT: u8 = 8;
    const LAST_ACK: u8 = 9;
    const CLOSING: u8 = 11;

    let u32_at = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&info[at..at + 4]);
        u32::from_ne_bytes(bytes)
    };
    let u64_at = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&info[at..at + 8]);
        u64::from_ne_bytes(bytes)
    };
    let millis = |at: usize| Duration::from_millis(u32_at(at).into());

    // The ends of both directions count as a byte each.
    let state = info[0];
    let got_end = matches!(state, TIME_WAIT | CLOSE | CLOSE_WAIT | LAST_ACK | CLOSING);
    let sends_end = matches!(state, FIN_WAIT1 | LAST_ACK | CLOSING);
    let (bytes_received, not_sent) = (u64_at(128), u64::from(u32_at(144)));
    let (bytes_sent, bytes_retransmitted) = (u64_at(200), u64_at(208));
    TcpInfo {
        received: bytes_received.saturating_sub(got_end.into()),
        written: bytes_sent.saturating_sub(bytes_retransmitted)
            + not_sent.saturating_sub(sends_end.into()),
        since_received: millis(52),
        since_sent: millis(44),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let client = TcpStream::connect(address).expect("it listens");
        (client, listener.accept().expect("a client").0)
    }

    fn counts(socket: &TcpStream) -> (u64, u64) {
        let info = tcp_info(socket.as_fd()).expect("TCP");
        (info.received, info.written)
    }

    #[test]
    fn the_ends_of_a_connection_do_not_count() {
        let (mut client, mut server) = pair();
        assert_eq!(counts(&server), (0, 0));
        client.write_all(b"hello").expect("sent");
        client.shutdown(Shutdown::Write).expect("open");
        let mut received = Vec::new();
        server.read_to_end(&mut received).expect("received");
        assert_eq!(counts(&server), (5, 0));
        server.write_all(b"good bye").expect("sent");
        assert_eq!(counts(&server), (5, 8));
        server.shutdown(Shutdown::Write).expect("open");
        client.read_to_end(&mut received).expect("received");
        assert_eq!(counts(&server), (5, 8));
        assert_eq!(counts(&client), (8, 5));
    }

    #[test]
    fn written_bytes_count_before_the_peer_has_room_for_them() {
        let (client, server) = pair();
        server.set_nonblocking(true).expect("a socket");
        let mut written = 0;
        let bytes = vec![0; 65_536];
        while let Ok(n) = (&server).write(&bytes) {
            written += n as u64;
        }
        assert_eq!(counts(&server), (0, written));
        server.shutdown(Shutdown::Write).expect("open");
        assert_eq!(counts(&server), (0, written));
        drop(client);
    }

    #[test]
    fn other_sockets_have_no_info() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().expect("sockets");
        assert_eq!(tcp_info(one.as_fd()), None);
    }
}
