//! Ping-pong: each connection sends a message, waits for the answer, sends the next.

use super::{Exchange, Limit, Load, PATIENCE, Sample, hung_up, open, silent};
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
    /// Whether its messages ask for work; their latencies are not recorded.
    heavy: bool,
    asked: Instant,
    /// The answer so far.
    answer: Vec<u8>,
    answered: usize,
}

impl Ping {
    pub fn open(place: &Place, count: usize, message: usize) -> io::Result<Ping> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let exchange = Rc::new(Exchange::new(message));
        let mut connections = Vec::with_capacity(count);
        for (index, stream) in open(place, count, &exchange)?.into_iter().enumerate() {
            stream.set_nonblocking()?;
            let data = epoll::EventData::new_u64(index as u64);
            let interest = epoll::EventFlags::IN | epoll::EventFlags::ET;
            epoll::add(&epoll, &stream, data, interest)?;
            connections.push(Connection {
                stream,
                exchange: exchange.clone(),
                heavy: false,
                asked: Instant::now(),
                answer: vec![0; message],
                answered: 0,
            });
        }
        Ok(Ping { epoll, connections })
    }

    /// On messages of every second connection the handler computes.
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
        let mut events = Vec::with_capacity(EVENTS_PER_WAIT);
        let patience = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
        let start = Instant::now();
        let deadline = limit.deadline();
        let (mut asked, mut answered) = (0, 0);
        for connection in &mut self.connections {
            if asked < limit.operations {
                connection.ask(Instant::now())?;
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
                if !connection.receive()? {
                    continue;
                }
                // One look at the clock ends this echo and begins the next.
                let now = Instant::now();
                if !connection.heavy {
                    latencies.record(now - connection.asked);
                }
                answered += 1;
                if asked < limit.operations && now < deadline {
                    connection.ask(now)?;
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
    fn ask(&mut self, now: Instant) -> io::Result<()> {
        self.asked = now;
        self.answered = 0;
        match self.stream.write(&self.exchange.question)? == self.exchange.question.len() {
            true => Ok(()),
            false => Err(io::Error::other("a message does not fit into the socket")),
        }
    }

    /// Whether the answer is complete. Nothing can follow it, so a full read leaves the socket empty.
    fn receive(&mut self) -> io::Result<bool> {
        match self.stream.read(&mut self.answer[self.answered..]) {
            Ok(0) => Err(hung_up()),
            Ok(count) => {
                self.answered += count;
                if self.answered < self.answer.len() {
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

const EVENTS_PER_WAIT: usize = 1024;
