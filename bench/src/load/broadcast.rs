//! Broadcast: in each turn some clients send a frame each, and every client receives all of these.

use super::{ANSWER_TIMEOUT, Limit, Load, Sample, closed_early, no_answer};
use crate::histogram::Histogram;
use crate::place::{Place, Stream};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::time::Instant;

/// The clients of the chat, under edge-triggered epoll.
pub struct Broadcast {
    epoll: OwnedFd,
    clients: Vec<Client>,
    /// The frames of a turn: client `n` sends frame `n`.
    frames: Vec<[u8; FRAME_BYTES]>,
    /// The buffer of each read; empty between reads.
    buffer: Vec<u8>,
}

struct Client {
    stream: Stream,
    /// The frames of this turn that it has received, one bit each.
    received: u64,
    /// The received part of the next frame.
    partial: Vec<u8>,
}

impl Broadcast {
    /// Connects all clients. `under_way` is the number of frames of a turn, at most 64.
    pub fn open(place: &Place, clients: usize, under_way: usize) -> io::Result<Broadcast> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut broadcast = Broadcast {
            epoll,
            clients: Vec::with_capacity(clients),
            frames: (0..under_way).map(frame).collect(),
            buffer: vec![0; 64 * 1024],
        };
        for index in 0..clients {
            broadcast.join(place, index)?;
        }
        Ok(broadcast)
    }

    /// Connects one more client. It has joined when it receives its own frame.
    fn join(&mut self, place: &Place, index: usize) -> io::Result<()> {
        let stream = place.connect(ANSWER_TIMEOUT)?;
        stream.reset_on_close()?;
        stream.set_nonblocking()?;
        let data = epoll::EventData::new_u64(index as u64);
        let interest = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&self.epoll, &stream, data, interest)?;
        self.clients.push(Client {
            stream,
            received: 0,
            partial: Vec::new(),
        });
        self.turn(index, 1)
    }

    /// Sends one frame from each of `frames` clients, from the client `first` on. Returns when
    /// every client has received all of them.
    fn turn(&mut self, first: usize, frames: usize) -> io::Result<()> {
        let all = u64::MAX >> (64 - frames);
        for client in &mut self.clients {
            client.received = 0;
        }
        for (client, frame) in self.clients[first..].iter_mut().zip(&self.frames[..frames]) {
            if client.stream.write(frame)? != FRAME_BYTES {
                return Err(io::Error::other("the socket did not take a whole frame"));
            }
        }
        let timeout = Timespec::try_from(ANSWER_TIMEOUT).map_err(io::Error::other)?;
        let mut events = Vec::with_capacity(MAX_EVENTS_PER_WAIT);
        let mut waiting = self.clients.len();
        while waiting > 0 {
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout))?;
            if events.is_empty() {
                return Err(no_answer());
            }
            for event in events.drain(..) {
                let client = &mut self.clients[event.data.u64() as usize];
                let before = client.received;
                client.receive(&self.frames, &mut self.buffer)?;
                waiting -= usize::from(client.received == all && before != all);
            }
        }
        Ok(())
    }
}

impl Load for Broadcast {
    fn run(&mut self, limit: Limit) -> io::Result<Sample> {
        let mut latencies = Histogram::default();
        let (start, deadline) = (Instant::now(), limit.deadline());
        let (mut operations, mut now) = (0, start);
        while operations < limit.operations && now < deadline {
            self.turn(0, self.frames.len())?;
            let end = Instant::now();
            latencies.record(end - now);
            now = end;
            operations += (self.clients.len() * self.frames.len()) as u64;
        }
        Ok(Sample {
            operations,
            elapsed: now - start,
            latencies,
        })
    }
}

impl Client {
    fn receive(&mut self, frames: &[[u8; FRAME_BYTES]], buffer: &mut [u8]) -> io::Result<()> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Err(closed_early()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.partial.extend_from_slice(&buffer[..count]);
            let whole = self.partial.len() / FRAME_BYTES * FRAME_BYTES;
            for frame in self.partial[..whole].chunks(FRAME_BYTES) {
                self.received |= check(frames, frame, self.received)?;
            }
            self.partial.drain(..whole);
            if count < buffer.len() {
                return Ok(());
            }
        }
    }
}

/// Returns the bit of a frame. Fails if it is not a frame of this turn, or came before.
fn check(frames: &[[u8; FRAME_BYTES]], frame: &[u8], received: u64) -> io::Result<u64> {
    let number = usize::from(frame[0].wrapping_sub(FIRST_NUMBER));
    let is_sent = frames.get(number).is_some_and(|sent| sent == frame);
    match 1_u64.checked_shl(number as u32) {
        Some(bit) if is_sent && received & bit == 0 => Ok(bit),
        _ => Err(io::Error::other("a client received a wrong frame")),
    }
}

/// Returns a frame that begins with its number and ends with `\0`.
fn frame(number: usize) -> [u8; FRAME_BYTES] {
    let mut frame = [b'.'; FRAME_BYTES];
    frame[0] = FIRST_NUMBER + number as u8;
    frame[FRAME_BYTES - 1] = 0;
    frame
}

/// The size of a frame, with its `\0`.
const FRAME_BYTES: usize = 100;
/// The first byte of the first frame.
const FIRST_NUMBER: u8 = b'0';
const MAX_EVENTS_PER_WAIT: usize = 1024;
