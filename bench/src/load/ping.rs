//! Ping-pong: each connection sends a message, waits for the answer, sends the next.

use super::{Exchange, Limit, Load, PATIENCE, Sample, hung_up, open, silent};
use crate::histogram::Histogram;
use crate::place::{Place, Stream};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::time::Instant;

/// Open connections under edge-triggered epoll.
pub struct Ping {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    exchange: Exchange,
}

struct Connection {
    stream: Stream,
    asked: Instant,
    /// The answer so far.
    answer: Vec<u8>,
    answered: usize,
}

impl Ping {
    pub fn open(place: &Place, count: usize, message: usize) -> io::Result<Ping> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let exchange = Exchange::new(message);
        let mut connections = Vec::with_capacity(count);
        for (index, stream) in open(place, count, &exchange)?.into_iter().enumerate() {
            stream.set_nonblocking()?;
            let data = epoll::EventData::new_u64(index as u64);
            let interest = epoll::EventFlags::IN | epoll::EventFlags::ET;
            epoll::add(&epoll, &stream, data, interest)?;
            connections.push(Connection {
                stream,
                asked: Instant::now(),
                answer: vec![0; message],
                answered: 0,
            });
        }
        Ok(Ping {
            epoll,
            connections,
            exchange,
        })
    }
}

impl Load for Ping {
    fn run(&mut self, limit: Limit) -> io::Result<Sample> {
        let mut latencies = Histogram::default();
        let mut events = Vec::with_capacity(EVENTS_PER_WAIT);
        let patience = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
        let start = Instant::now();
        let deadline = limit.deadline();
        let (mut asked, mut answered) = (0, 0);
        for connection in &mut self.connections {
            if asked < limit.operations {
                connection.ask(&self.exchange, Instant::now())?;
                asked += 1;
            }
        }
        while answered < asked {
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&patience))?;
            if events.is_empty() {
                return Err(silent());
            }
            for event in events.drain(..) {
                let connection = &mut self.connections[event.data.u64() as usize];
                if !connection.receive(&self.exchange)? {
                    continue;
                }
                // One look at the clock ends this echo and begins the next.
                let now = Instant::now();
                latencies.record(now - connection.asked);
                answered += 1;
                if asked < limit.operations && now < deadline {
                    connection.ask(&self.exchange, now)?;
                    asked += 1;
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
    fn ask(&mut self, exchange: &Exchange, now: Instant) -> io::Result<()> {
        self.asked = now;
        self.answered = 0;
        match self.stream.write(&exchange.question)? == exchange.question.len() {
            true => Ok(()),
            false => Err(io::Error::other("a message does not fit into the socket")),
        }
    }

    /// Whether the answer is complete. Nothing can follow it, so a full read leaves the socket empty.
    fn receive(&mut self, exchange: &Exchange) -> io::Result<bool> {
        match self.stream.read(&mut self.answer[self.answered..]) {
            Ok(0) => Err(hung_up()),
            Ok(count) => {
                self.answered += count;
                if self.answered < self.answer.len() {
                    return Ok(false);
                }
                exchange.check(&self.answer)?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

const EVENTS_PER_WAIT: usize = 1024;
