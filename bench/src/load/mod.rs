//! The client: one thread with little CPU time, so that the figures depend on the server.

mod blocked;
mod broadcast;
mod bulk;
mod close;
mod handshake;
mod ping;

pub use blocked::Blocked;
pub use broadcast::Broadcast;
pub use bulk::Bulk;
pub use close::Close;
pub use handshake::Handshake;
pub use ping::Ping;

use crate::histogram::Histogram;
use crate::place::Transport;
use std::io;
use std::time::{Duration, Instant};

/// A load for a server.
pub trait Load {
    /// Runs until the limit is reached and every message is answered.
    fn run(&mut self, limit: Limit) -> io::Result<Sample>;
}

/// The end of a run: after a number of messages or a time, whichever is first.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub operations: u64,
    pub time: Duration,
}

impl Limit {
    pub fn time(time: Duration) -> Limit {
        Limit {
            operations: u64::MAX,
            time,
        }
    }

    /// A number of messages, with a timeout.
    pub fn operations(operations: u64) -> Limit {
        Limit {
            operations,
            time: ANSWER_TIMEOUT,
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.time
    }
}

/// The result of one run.
pub struct Sample {
    pub operations: u64,
    pub elapsed: Duration,
    /// The latencies of messages that request no work.
    pub latencies: Histogram,
}

/// A message and its right answer.
pub struct Exchange {
    question: Vec<u8>,
    answer: Vec<u8>,
}

impl Exchange {
    pub fn new(len: usize) -> Exchange {
        let question: Vec<u8> = (b'a'..=b'z').chain(b'0'..=b'9').cycle().take(len).collect();
        let answer = question.to_ascii_uppercase();
        Exchange { question, answer }
    }

    /// A message that follows a PROXY header.
    pub fn after_proxy_header(len: usize) -> Exchange {
        let mut exchange = Exchange::new(len);
        exchange.question.splice(0..0, PROXY_HEADER);
        exchange
    }

    /// A message with this first byte, which requests work.
    fn with_work(len: usize, first: u8) -> Exchange {
        let mut exchange = Exchange::new(len);
        exchange.question[0] = first;
        exchange.answer[0] = first;
        exchange
    }

    fn check(&self, answer: &[u8]) -> io::Result<()> {
        match answer == self.answer {
            true => Ok(()),
            false => Err(io::Error::other("the server sent a wrong answer")),
        }
    }

    /// Performs one echo on a blocking stream.
    pub fn perform(&self, stream: &mut impl Transport, buffer: &mut [u8]) -> io::Result<()> {
        stream.write_all(&self.question)?;
        stream.read_exact(buffer)?;
        self.check(buffer)
    }
}

/// Performs an operation again and again until the limit is reached.
fn until(limit: Limit, mut operation: impl FnMut() -> io::Result<()>) -> io::Result<Sample> {
    let mut latencies = Histogram::default();
    let mut operations = 0;
    let deadline = limit.deadline();
    let start = Instant::now();
    let mut begun = start;
    while operations < limit.operations && begun < deadline {
        operation()?;
        operations += 1;
        let now = Instant::now();
        latencies.record(now - begun);
        begun = now;
    }
    Ok(Sample {
        operations,
        elapsed: start.elapsed(),
        latencies,
    })
}

/// Opens connections one after another, with one echo on each.
///
/// Waiting for each echo keeps the server's backlog empty. The connections are reset on drop: tens
/// of thousands of sockets in TIME_WAIT would slow down the next measurement.
pub fn open<T: Transport>(
    count: usize,
    exchange: &Exchange,
    connect: impl Fn() -> io::Result<T>,
) -> io::Result<Vec<T>> {
    let mut buffer = vec![0; exchange.answer.len()];
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = connect()?;
        stream.socket().reset_on_close()?;
        exchange.perform(&mut stream, &mut buffer)?;
        streams.push(stream);
    }
    Ok(streams)
}

fn no_answer() -> io::Error {
    let message = "the server did not answer within 10 s";
    io::Error::new(io::ErrorKind::TimedOut, message)
}

fn closed_early() -> io::Error {
    let message = "the server closed the connection before its answer";
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}

/// A header of version 2 with IPv4 addresses.
pub const PROXY_HEADER: [u8; 28] =
    *b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x9c\x40\x01\xbb";
/// The longest wait for an answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Place;
    use crate::tls::testing;
    use halves::proxy_protocol::{Header, Version};
    use rustix::net::sockopt::set_socket_send_buffer_size;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    /// Starts an uppercase echo without work, for this number of connections.
    fn server(connections: usize) -> Place {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().take(connections) {
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    let mut buffer = [0; 64];
                    while stream.read_exact(&mut buffer).is_ok() {
                        buffer.make_ascii_uppercase();
                        stream.write_all(&buffer).unwrap();
                    }
                });
            }
        });
        Place::Tcp(address)
    }

    #[test]
    fn latencies_of_a_skewed_load_are_those_of_light_messages() {
        let mut ping = Ping::skewed(&server(4), 4, 64).unwrap();
        let sample = ping.run(Limit::operations(4)).unwrap();
        assert_eq!((sample.operations, sample.latencies.count()), (4, 2));
    }

    #[test]
    fn a_bulk_load_sends_all_of_its_messages_over_tls() {
        let server = testing::Server::start();
        let client = server.client();
        // With a small buffer, the socket takes a part of what the session took.
        let connect = || {
            let stream = client.connect(server.place.connect(ANSWER_TIMEOUT)?)?;
            set_socket_send_buffer_size(stream.socket(), 4096)?;
            Ok(stream)
        };
        let mut bulk = Bulk::open(16 * 1024, connect).unwrap();
        assert_eq!(bulk.run(Limit::operations(4)).unwrap().operations, 4);
    }

    #[test]
    fn the_header_before_a_message_is_whole_and_correct() {
        let exchange = Exchange::after_proxy_header(64);
        let message = Exchange::new(64);
        let parsed = Header::parse(&exchange.question, Version::V2).unwrap();
        let (header, length) = parsed.unwrap();
        let source = &header.addresses().unwrap().source;
        assert_eq!(source.to_string(), "192.0.2.1:40000");
        assert_eq!(exchange.question[length..], message.question);
        assert_eq!(exchange.answer, message.answer);
    }

    #[test]
    fn the_others_send_only_while_one_connection_is_blocked() {
        let mut blocked = Blocked::open(&server(3), 3, 64).unwrap();
        let mut latencies = Histogram::default();
        blocked.run(2, Duration::ZERO, &mut latencies).unwrap();
        assert_eq!(latencies.count(), 0);
        let nanosecond = Duration::from_nanos(1);
        blocked.run(0, nanosecond, &mut latencies).unwrap();
        assert_eq!(latencies.count(), 1);
    }
}
