//! Bulk: one connection keeps a few large messages under way, writing and reading at once.

use super::{Exchange, Limit, Load, PATIENCE, Sample, hung_up, open, silent};
use crate::histogram::Histogram;
use crate::place::{Place, Stream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::time::Instant;

/// One connection.
pub struct Bulk {
    stream: Stream,
    exchange: Exchange,
    answer: Vec<u8>,
}

impl Bulk {
    pub fn open(place: &Place, message: usize) -> io::Result<Bulk> {
        let exchange = Exchange::new(message);
        let mut streams = open(place, 1, &exchange)?;
        let stream = streams.remove(0);
        stream.set_nonblocking()?;
        Ok(Bulk {
            stream,
            exchange,
            answer: vec![0; message],
        })
    }
}

impl Load for Bulk {
    fn run(&mut self, limit: Limit) -> io::Result<Sample> {
        let start = Instant::now();
        let mut progress = Progress {
            limit,
            deadline: limit.deadline(),
            under_way: VecDeque::new(),
            begun: 0,
            unsent: 0,
            received: 0,
            latencies: Histogram::default(),
        };
        loop {
            let wrote = progress.write(&mut self.stream, &self.exchange)?;
            let read = progress.read(&mut self.stream, &self.exchange, &mut self.answer)?;
            if progress.under_way.is_empty() && !progress.may_begin() {
                break;
            }
            if !wrote && !read {
                wait(&self.stream, progress.unsent > 0)?;
            }
        }
        Ok(Sample {
            operations: progress.begun,
            elapsed: start.elapsed(),
            latencies: progress.latencies,
        })
    }
}

/// How far a run has come.
struct Progress {
    limit: Limit,
    deadline: Instant,
    /// When each message not yet answered was begun.
    under_way: VecDeque<Instant>,
    begun: u64,
    /// Bytes of the message begun last that are still to be sent.
    unsent: usize,
    /// Bytes of the answer to the first message under way.
    received: usize,
    latencies: Histogram,
}

impl Progress {
    fn may_begin(&self) -> bool {
        self.begun < self.limit.operations && Instant::now() < self.deadline
    }

    /// Writes what the socket takes; whether that was anything.
    fn write(&mut self, stream: &mut Stream, exchange: &Exchange) -> io::Result<bool> {
        let mut any = false;
        loop {
            if self.unsent == 0 {
                if self.under_way.len() >= MESSAGES_UNDER_WAY || !self.may_begin() {
                    return Ok(any);
                }
                self.under_way.push_back(Instant::now());
                self.begun += 1;
                self.unsent = exchange.question.len();
            }
            let rest = exchange.question.len() - self.unsent;
            match stream.write(&exchange.question[rest..]) {
                Ok(count) => self.unsent -= count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(any),
                Err(error) => return Err(error),
            }
            any = true;
        }
    }

    /// Reads what there is of one message; whether that was anything.
    fn read(
        &mut self,
        stream: &mut Stream,
        exchange: &Exchange,
        answer: &mut [u8],
    ) -> io::Result<bool> {
        match stream.read(&mut answer[self.received..]) {
            Ok(0) => Err(hung_up()),
            Ok(count) => {
                self.received += count;
                if self.received == answer.len() {
                    self.complete(exchange, answer)?;
                }
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Comparing costs a tenth of an echo, so most answers are only counted.
    fn complete(&mut self, exchange: &Exchange, answer: &[u8]) -> io::Result<()> {
        if self.begun.is_multiple_of(MESSAGES_PER_CHECK) {
            exchange.check(answer)?;
        }
        let begun = self
            .under_way
            .pop_front()
            .ok_or_else(|| io::Error::other("an answer too many"))?;
        self.latencies.record(begun.elapsed());
        self.received = 0;
        Ok(())
    }
}

fn wait(stream: &Stream, for_room: bool) -> io::Result<()> {
    let interest = match for_room {
        true => PollFlags::IN | PollFlags::OUT,
        false => PollFlags::IN,
    };
    let patience = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(stream, interest)], Some(&patience))? {
        0 => Err(silent()),
        _ => Ok(()),
    }
}

/// Enough that neither side has to wait for the other, little enough to stay in the cache.
const MESSAGES_UNDER_WAY: usize = 4;
const MESSAGES_PER_CHECK: u64 = 16;
