//! Broadcast: in turns, some clients say a frame each, and every client hears all of them.

use super::{Limit, Load, PATIENCE, Sample, hung_up, silent};
use crate::histogram::Histogram;
use crate::place::{Place, Stream};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::time::Instant;

/// Everyone in the room, under edge-triggered epoll.
pub struct Broadcast {
    epoll: OwnedFd,
    clients: Vec<Client>,
    /// What is said in a turn: by the first client the first, and so on.
    frames: Vec<[u8; FRAME]>,
    /// Where bytes are read to; nothing is left in it.
    buffer: Vec<u8>,
}

struct Client {
    stream: Stream,
    /// The frames of this turn that it has heard, a bit each.
    heard: u64,
    /// The beginning of the next one.
    partial: Vec<u8>,
}

impl Broadcast {
    /// Has everyone in the room when it returns. At most 64 frames are under way.
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

    /// One more client, which is there when it hears what it says itself.
    fn join(&mut self, place: &Place, index: usize) -> io::Result<()> {
        let stream = place.connect(PATIENCE)?;
        stream.reset_on_close()?;
        stream.set_nonblocking()?;
        let data = epoll::EventData::new_u64(index as u64);
        let interest = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&self.epoll, &stream, data, interest)?;
        self.clients.push(Client {
            stream,
            heard: 0,
            partial: Vec::new(),
        });
        self.turn(index, 1)
    }

    /// So many clients, from this one on, say a frame each; returns when everyone has heard them.
    fn turn(&mut self, first: usize, frames: usize) -> io::Result<()> {
        let all = u64::MAX >> (64 - frames);
        for client in &mut self.clients {
            client.heard = 0;
        }
        for (client, frame) in self.clients[first..].iter_mut().zip(&self.frames[..frames]) {
            if client.stream.write(frame)? != FRAME {
                return Err(io::Error::other("a frame does not fit into the socket"));
            }
        }
        let patience = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
        let mut events = Vec::with_capacity(EVENTS_PER_WAIT);
        let mut waiting = self.clients.len();
        while waiting > 0 {
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&patience))?;
            if events.is_empty() {
                return Err(silent());
            }
            for event in events.drain(..) {
                let client = &mut self.clients[event.data.u64() as usize];
                let before = client.heard;
                client.receive(&self.frames, &mut self.buffer)?;
                waiting -= usize::from(client.heard == all && before != all);
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
    fn receive(&mut self, frames: &[[u8; FRAME]], buffer: &mut [u8]) -> io::Result<()> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Err(hung_up()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.partial.extend_from_slice(&buffer[..count]);
            let whole = self.partial.len() / FRAME * FRAME;
            for frame in self.partial[..whole].chunks(FRAME) {
                self.heard |= check(frames, frame, self.heard)?;
            }
            self.partial.drain(..whole);
            if count < buffer.len() {
                return Ok(());
            }
        }
    }
}

/// The bit of this frame. Whoever spoke first, each comes once.
fn check(frames: &[[u8; FRAME]], frame: &[u8], heard: u64) -> io::Result<u64> {
    let number = usize::from(frame[0].wrapping_sub(FIRST));
    let said = frames.get(number).is_some_and(|said| said == frame);
    match 1_u64.checked_shl(number as u32) {
        Some(bit) if said && heard & bit == 0 => Ok(bit),
        _ => Err(io::Error::other("a wrong frame")),
    }
}

/// Begins with its number, and ends with `\0`.
fn frame(number: usize) -> [u8; FRAME] {
    let mut frame = [b'.'; FRAME];
    frame[0] = FIRST + number as u8;
    frame[FRAME - 1] = 0;
    frame
}

/// Bytes of a frame, with its end.
const FRAME: usize = 100;
/// What the first frame begins with.
const FIRST: u8 = b'0';
const EVENTS_PER_WAIT: usize = 1024;
