//! Ping-pong: each connection sends a message, waits for the answer, and sends the next.

use super::{ANSWER_TIMEOUT, Exchange, Limit, Load, Sample, closed_early, no_answer, open};
use crate::histogram::Histogram;
use crate::peer::COMPUTE;
use crate::place::{Place, Stream};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Instant;

/// Open connections under edge-triggered epoll.
pub struct Ping {
    epoll: OwnedFd,
    connections: Vec<Connection>,
}

struct Connection {
    stream: Stream,
    exchange: Rc<Exchange>,
    /// True if its messages request work; their latencies are not recorded.
    heavy: bool,
    sent_at: Instant,
    answer: Vec<u8>,
    /// The received bytes of the answer.
    received: usize,
}

impl Ping {
    pub fn open(place: &Place, count: usize, message: usize) -> io::Result<Ping> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let exchange = Rc::new(Exchange::new(message));
        let mut connections = Vec::with_capacity(count);
        let streams = open(count, &exchange, || place.connect(ANSWER_TIMEOUT))?;
        for (index, stream) in streams.into_iter().enumerate() {
            stream.set_nonblocking()?;
            let data = epoll::EventData::new_u64(index as u64);
            let interest = epoll::EventFlags::IN | epoll::EventFlags::ET;
            epoll::add(&epoll, &stream, data, interest)?;
            connections.push(Connection {
                stream,
                exchange: exchange.clone(),
                heavy: false,
                sent_at: Instant::now(),
                answer: vec![0; message],
                received: 0,
            });
        }
        Ok(Ping { epoll, connections })
    }

    /// Opens connections of which every second sends messages that make the handler compute.
    pub fn skewed(place: &Place, count: usize, message: usize) -> io::Result<Ping> {
        let mut ping = Ping::open(place, count, message)?;
        let exchange = Rc::new(Exchange::with_work(message, COMPUTE));
        for connection in ping.connections.iter_mut().skip(1).step_by(2) {
            connection.exchange = exchange.clone();
            connection.heavy = true;
        }
        Ok(ping)
    }
}

impl Load for Ping {
    fn run(&mut self, limit: Limit) -> io::Result<Sample> {
        let mut latencies = Histogram::default();
        let mut events = Vec::with_capacity(MAX_EVENTS_PER_WAIT);
        let timeout = Timespec::try_from(ANSWER_TIMEOUT).map_err(io::Error::other)?;
        let start = Instant::now();
        let deadline = limit.deadline();
        let (mut sent, mut answered) = (0, 0);
        for connection in &mut self.connections {
            if sent < limit.operations {
                connection.send(Instant::now())?;
                sent += 1;
            }
        }
        while answered < sent {
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout))?;
            if events.is_empty() {
                return Err(no_answer());
            }
            for event in events.drain(..) {
                let connection = &mut self.connections[event.data.u64() as usize];
                if !connection.receive()? {
                    continue;
                }
                // One reading of the clock ends this echo and starts the next.
                let now = Instant::now();
                if !connection.heavy {
                    latencies.record(now - connection.sent_at);
                }
                answered += 1;
                if sent < limit.operations && now < deadline {
                    connection.send(now)?;
                    sent += 1;
                }
            }
        }
        Ok(Sample {
            operations: answered,
            elapsed: start.elapsed(),
            latencies,
        })
    }
}

impl Connection {
    fn send(&mut self, now: Instant) -> io::Result<()> {
        self.sent_at = now;
        self.received = 0;
        match self.stream.write(&self.exchange.question)? == self.exchange.question.len() {
            true => Ok(()),
            false => Err(io::Error::other("the socket did not take a whole message")),
        }
    }

    /// Returns true if the answer is complete. No bytes follow it, so the socket is empty then.
    fn receive(&mut self) -> io::Result<bool> {
        match self.stream.read(&mut self.answer[self.received..]) {
            Ok(0) => Err(closed_early()),
            Ok(count) => {
                self.received += count;
                if self.received < self.answer.len() {
                    return Ok(false);
                }
                self.exchange.check(&self.answer)?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

const MAX_EVENTS_PER_WAIT: usize = 1024;
