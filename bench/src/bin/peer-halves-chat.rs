//! The fast chat of the broadcast rows: `peer-halves-chat [--drop-oldest] [ADDRESS]`. The example `broadcast`
//! is the short one, with a channel for each client.
//!
//! What is said are frames, each with a `\0` at its end. Who says one writes it to everyone at
//! once, whose socket takes it without waiting, as a rule. Else it waits in a queue of its receiver,
//! whose own task sends it later. So a slow client keeps nobody waiting; and as its queue is bounded, it
//! is disconnected when that is full, or hears only the newest with `--drop-oldest`. One that ends what it says
//! and then never reads stays until it leaves, or the server ends: `Timeouts` would end it.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use futures_lite::{AsyncWrite, future};
use halves::{Connection, Executor, Server, Shutdown, Writer, bind};

/// Bytes of a frame, without its end.
pub(crate) const FRAME: usize = 4 * 1024;
/// What may wait for one client: so many frames, and so many bytes.
pub(crate) const QUEUED_FRAMES: usize = 256;
pub(crate) const QUEUED_BYTES: usize = 64 * 1024;
/// Frames that leave with one call.
const AT_ONCE: usize = 64;

/// What is done about a client whose queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slow {
    Disconnect,
    DropOldest,
}

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (flags, addresses): (Vec<_>, Vec<_>) = words.iter().partition(|w| w.starts_with("--"));
    let slow = if flags.iter().any(|flag| *flag == "--drop-oldest") {
        Slow::DropOldest
    } else {
        Slow::Disconnect
    };
    let address = addresses.first().map_or("127.0.0.1:50007", |a| a.as_str());
    let ex = Executor::new();
    let listener = ex.block_on(bind(address))?;
    let room = Arc::new(Room::new(slow));
    let handler = async move |connection: Connection| room.chat(connection).await;
    let server = Server::default().shutdown(Shutdown::on_signals()?);
    ex.block_on(server.serve(&ex, listener, handler)).map(drop)
}

/// Everyone who hears what is said, by the number of the connection.
pub(crate) struct Room {
    clients: Mutex<BTreeMap<u64, Client>>,
    slow: Slow,
}

impl Room {
    pub(crate) fn new(slow: Slow) -> Self {
        let clients = Mutex::default();
        Self { clients, slow }
    }

    /// One client, from when it comes until it leaves, or we do.
    pub(crate) async fn chat(&self, connection: Connection) -> io::Result<()> {
        let (mut reader, id) = (connection.reader, connection.peer.id());
        self.clients().insert(id, Client::new(connection.writer));
        let seat = Seat { room: self, id };
        reader.set_frame_limit(FRAME);
        let talking = async {
            while reader.more_or_drain().await? {
                if let Some(frame) = reader.until(&[b"\0"]).await? {
                    self.say(&frame.into());
                }
            }
            Ok(())
        };
        // Beside it, until there is an error.
        let sending = poll_fn(|cx| match seat.poll_sent(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Pending,
        });
        future::or(talking, sending).await?;
        poll_fn(|cx| seat.poll_sent(cx)).await
    }

    /// Has everyone hear it, in the same order. Who cannot is not in the room any more.
    fn say(&self, frame: &Arc<[u8]>) {
        self.clients().retain(|_, client| {
            let heard = client.hear(frame, self.slow).is_ok();
            if !heard {
                client.owner.wake_by_ref();
            }
            heard
        });
    }

    fn clients(&self) -> MutexGuard<'_, BTreeMap<u64, Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place in the room, given up when it ends, however it does.
struct Seat<'a> {
    room: &'a Room,
    id: u64,
}

impl Seat<'_> {
    /// Ready when nothing waits for this client; its task is woken to send more.
    fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.room.clients().get_mut(&self.id) {
            Some(client) => {
                client.owner.clone_from(cx.waker());
                client.poll_send()
            }
            None => Poll::Ready(Err(io::Error::other("it does not hear what is said"))),
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let client = self.room.clients().remove(&self.id);
        drop(client);
    }
}

struct Client {
    writer: Writer,
    /// Wakes the connection's own task, whoever writes.
    owner: Waker,
    queue: VecDeque<Arc<[u8]>>,
    /// Of all frames in the queue.
    bytes: usize,
    /// How many of the first one have left.
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

    /// Writes it, and queues what is not taken.
    fn hear(&mut self, frame: &Arc<[u8]>, slow: Slow) -> io::Result<()> {
        if self.queue.is_empty() {
            // If that has to wait, it is tried again below, and the owner need not hear of this.
            let mut cx = Context::from_waker(Waker::noop());
            match Pin::new(&mut self.writer).poll_write(&mut cx, frame) {
                Poll::Ready(Ok(n)) if n == frame.len() => return Ok(()),
                Poll::Ready(sent) => self.sent = sent?,
                Poll::Pending => {}
            }
        }
        self.queue.push_back(frame.clone());
        self.bytes += frame.len();
        // A writer that was not full, but has done its share of a turn, takes it now; one that is
        // full wakes the owner later.
        if let Poll::Ready(Err(error)) = self.poll_send() {
            return Err(error);
        }
        while self.queue.len() > QUEUED_FRAMES || self.bytes > QUEUED_BYTES {
            if slow == Slow::Disconnect {
                return Err(io::ErrorKind::TimedOut.into());
            }
            // Not one of which a part has left.
            let oldest = usize::from(self.sent > 0);
            self.bytes -= self.queue.remove(oldest).map_or(0, |frame| frame.len());
        }
        Ok(())
    }

    fn poll_send(&mut self) -> Poll<io::Result<()>> {
        let mut cx = Context::from_waker(&self.owner);
        while !self.queue.is_empty() {
            let frames = self.queue.iter().take(AT_ONCE);
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
