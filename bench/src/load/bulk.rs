//! Bulk: one connection keeps a few large messages under way, and writes and reads at the same
//! time.

use super::{ANSWER_TIMEOUT, Exchange, Limit, Load, Sample, closed_early, no_answer, open};
use crate::histogram::Histogram;
use crate::place::Transport;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::time::Instant;

/// One open connection.
pub struct Bulk<T> {
    stream: T,
    exchange: Exchange,
    answer: Vec<u8>,
}

impl<T: Transport> Bulk<T> {
    pub fn open(message: usize, connect: impl Fn() -> io::Result<T>) -> io::Result<Bulk<T>> {
        let exchange = Exchange::new(message);
        let mut streams = open(1, &exchange, connect)?;
        let stream = streams.remove(0);
        stream.socket().set_nonblocking()?;
        Ok(Bulk {
            stream,
            exchange,
            answer: vec![0; message],
        })
    }
}

impl<T: Transport> Load for Bulk<T> {
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
                let for_room = progress.unsent > 0 || self.stream.has_unsent();
                wait(&self.stream, for_room)?;
            }
        }
        Ok(Sample {
            operations: progress.begun,
            elapsed: start.elapsed(),
            latencies: progress.latencies,
        })
    }
}

/// The progress of a run.
struct Progress {
    limit: Limit,
    deadline: Instant,
    /// The start time of each unanswered message.
    under_way: VecDeque<Instant>,
    begun: u64,
    /// The unsent bytes of the newest message.
    unsent: usize,
    /// The received bytes of the answer to the oldest message.
    received: usize,
    latencies: Histogram,
}

impl Progress {
    fn may_begin(&self) -> bool {
        self.begun < self.limit.operations && Instant::now() < self.deadline
    }

    /// Writes as much as the socket takes. Returns true if that is at least one byte.
    fn write(&mut self, stream: &mut impl Transport, exchange: &Exchange) -> io::Result<bool> {
        let mut any = false;
        match stream.flush() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(any),
            done => done?,
        }
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

    /// Reads a part of one message. Returns true if that is at least one byte.
    fn read(
        &mut self,
        stream: &mut impl Transport,
        exchange: &Exchange,
        answer: &mut [u8],
    ) -> io::Result<bool> {
        match stream.read(&mut answer[self.received..]) {
            Ok(0) => Err(closed_early()),
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

    /// Counts an answer. Compares only some, as a comparison costs a tenth of an echo.
    fn complete(&mut self, exchange: &Exchange, answer: &[u8]) -> io::Result<()> {
        if self.begun.is_multiple_of(MESSAGES_PER_CHECK) {
            exchange.check(answer)?;
        }
        let begun = self
            .under_way
            .pop_front()
            .ok_or_else(|| io::Error::other("the server sent more answers than messages"))?;
        self.latencies.record(begun.elapsed());
        self.received = 0;
        Ok(())
    }
}

fn wait(stream: &impl Transport, for_room: bool) -> io::Result<()> {
    let interest = match for_room {
        true => PollFlags::IN | PollFlags::OUT,
        false => PollFlags::IN,
    };
    let timeout = Timespec::try_from(ANSWER_TIMEOUT).map_err(io::Error::other)?;
    match poll(
        &mut [PollFd::new(stream.socket(), interest)],
        Some(&timeout),
    )? {
        0 => Err(no_answer()),
        _ => Ok(()),
    }
}

/// Enough to keep both sides busy, and few enough to stay in the cache.
const MESSAGES_UNDER_WAY: usize = 4;
const MESSAGES_PER_CHECK: u64 = 16;
