//! The fast chat of the broadcast rows: `peer-halves-chat [--drop-oldest] [ADDRESS]`. The example
//! `broadcast` is the short one, with a channel for each client.
//!
//! A frame ends with `\0`. The task of its sender writes it to the sockets of all clients. These
//! take it at once, as a rule; otherwise it goes to the queue of the receiver, and the task of the
//! receiver sends it later. So a slow client does not delay the others. Its queue is bounded: when
//! it is full, the client is disconnected, or with `--drop-oldest` loses the oldest frames. A
//! client that ends its half and never reads stays connected until it leaves or the server ends;
//! `Timeouts` would end it.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use futures_lite::{AsyncWrite, future};
use halves::{Connection, Executor, Server, Shutdown, Writer, bind};

/// The most bytes of a frame, without its `\0`.
pub(crate) const MAX_FRAME_BYTES: usize = 4 * 1024;
/// The most frames in the queue of one client.
pub(crate) const MAX_QUEUED_FRAMES: usize = 256;
/// The most bytes in the queue of one client.
pub(crate) const MAX_QUEUED_BYTES: usize = 64 * 1024;
/// The most frames in one write.
const MAX_FRAMES_PER_WRITE: usize = 64;

/// The treatment of a client with a full queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlowClient {
    Disconnect,
    DropOldest,
}

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (flags, addresses): (Vec<_>, Vec<_>) = words.iter().partition(|w| w.starts_with("--"));
    let slow = if flags.iter().any(|flag| *flag == "--drop-oldest") {
        SlowClient::DropOldest
    } else {
        SlowClient::Disconnect
    };
    let address = addresses.first().map_or("127.0.0.1:50007", |a| a.as_str());
    let ex = Executor::new();
    let listener = ex.block_on(bind(address))?;
    let room = Arc::new(Room::new(slow));
    let handler = async move |connection: Connection| room.chat(connection).await;
    let server = Server::default().shutdown(Shutdown::on_signals()?);
    ex.block_on(server.serve(&ex, listener, handler)).map(drop)
}

/// The clients of the chat, by the id of the connection.
pub(crate) struct Room {
    clients: Mutex<BTreeMap<u64, Client>>,
    slow: SlowClient,
}

impl Room {
    pub(crate) fn new(slow: SlowClient) -> Self {
        let clients = Mutex::default();
        Self { clients, slow }
    }

    /// Serves one client until it leaves or the server drains.
    pub(crate) async fn chat(&self, connection: Connection) -> io::Result<()> {
        let (mut reader, id) = (connection.reader, connection.peer.id());
        self.clients().insert(id, Client::new(connection.writer));
        let membership = Membership { room: self, id };
        reader.set_frame_limit(MAX_FRAME_BYTES);
        let receiving = async {
            while reader.more_or_drain().await? {
                if let Some(frame) = reader.until(&[b"\0"]).await? {
                    self.send_to_all(&frame.into());
                }
            }
            Ok(())
        };
        // Runs beside it until there is an error.
        let sending = poll_fn(|cx| match membership.poll_sent(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Pending,
        });
        future::or(receiving, sending).await?;
        poll_fn(|cx| membership.poll_sent(cx)).await
    }

    /// Sends a frame to all clients, in the same order. Removes those that fail.
    fn send_to_all(&self, frame: &Arc<[u8]>) {
        self.clients().retain(|_, client| {
            let accepted = client.send(frame, self.slow).is_ok();
            if !accepted {
                client.owner.wake_by_ref();
            }
            accepted
        });
    }

    fn clients(&self) -> MutexGuard<'_, BTreeMap<u64, Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The membership of a connection in the room. Removed on drop.
struct Membership<'a> {
    room: &'a Room,
    id: u64,
}

impl Membership<'_> {
    /// Ready when the client's queue is empty. Otherwise the task is woken to send more.
    fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.room.clients().get_mut(&self.id) {
            Some(client) => {
                client.owner.clone_from(cx.waker());
                client.poll_send()
            }
            None => Poll::Ready(Err(io::Error::other("the client does not read its frames"))),
        }
    }
}

impl Drop for Membership<'_> {
    fn drop(&mut self) {
        let client = self.room.clients().remove(&self.id);
        drop(client);
    }
}

struct Client {
    writer: Writer,
    /// Wakes the connection's own task, for writes of any task.
    owner: Waker,
    queue: VecDeque<Arc<[u8]>>,
    /// The total size of the frames in the queue.
    bytes: usize,
    /// The bytes of the first frame that are sent.
    sent: usize,
}

impl Client {
    fn new(writer: Writer) -> Self {
        Self {
            writer,
            owner: Waker::noop().clone(),
            queue: VecDeque::new(),
            bytes: 0,
            sent: 0,
        }
    }

    /// Writes a frame, and queues it if the socket does not take all of it.
    fn send(&mut self, frame: &Arc<[u8]>, slow: SlowClient) -> io::Result<()> {
        if self.queue.is_empty() {
            // If this returns `Pending`, the write below registers the waker of the owner.
            let mut cx = Context::from_waker(Waker::noop());
            match Pin::new(&mut self.writer).poll_write(&mut cx, frame) {
                Poll::Ready(Ok(n)) if n == frame.len() => return Ok(()),
                Poll::Ready(sent) => self.sent = sent?,
                Poll::Pending => {}
            }
        }
        self.queue.push_back(frame.clone());
        self.bytes += frame.len();
        // The write above may have failed because of the budget of the task, not of a full socket.
        // A full socket wakes the owner later.
        if let Poll::Ready(Err(error)) = self.poll_send() {
            return Err(error);
        }
        while self.queue.len() > MAX_QUEUED_FRAMES || self.bytes > MAX_QUEUED_BYTES {
            if slow == SlowClient::Disconnect {
                return Err(io::ErrorKind::TimedOut.into());
            }
            // Keeps the first frame if a part of it is sent.
            let oldest = usize::from(self.sent > 0);
            self.bytes -= self.queue.remove(oldest).map_or(0, |frame| frame.len());
        }
        Ok(())
    }

    fn poll_send(&mut self) -> Poll<io::Result<()>> {
        let mut cx = Context::from_waker(&self.owner);
        while !self.queue.is_empty() {
            let frames = self.queue.iter().take(MAX_FRAMES_PER_WRITE);
            let mut slices: Vec<_> = frames.map(|frame| IoSlice::new(frame)).collect();
            IoSlice::advance_slices(&mut &mut slices[..], self.sent);
            let written = Pin::new(&mut self.writer).poll_write_vectored(&mut cx, &slices);
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.sent += n,
            }
            while let Some(first) = self.queue.pop_front_if(|first| self.sent >= first.len()) {
                self.sent -= first.len();
                self.bytes -= first.len();
            }
        }
        Poll::Ready(Ok(()))
    }
}
