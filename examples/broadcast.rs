//! A chat between all clients: `cargo run --example broadcast -- 127.0.0.1:50007`
//!
//! A frame ends with `\0`. Each client has a bounded queue of frames. A client that does not read
//! is reset when its queue is full; with `--drop-oldest` as the first argument, the oldest frames
//! of its queue are dropped instead.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use futures_lite::{AsyncWriteExt, future};
use halves::{Connection, Executor, Peer, Server, Shutdown, bind};
use smol::channel::{Sender, bounded};

/// The most bytes of a frame, without its `\0`.
pub(crate) const MAX_FRAME_BYTES: usize = 4 * 1024;
/// The most frames in a queue. The queues share the frames, so this is about 4 MiB for any number
/// of clients.
pub(crate) const MAX_QUEUED_FRAMES: usize = 1024;

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1).peekable();
    let drop_oldest = args.next_if_eq("--drop-oldest").is_some();
    let address = args.next().unwrap_or("127.0.0.1:50007".into());
    let ex = Executor::new();
    let listener = ex.block_on(bind(address))?;
    let clients = Mutex::default();
    let room = Arc::new(Room {
        clients,
        drop_oldest,
    });
    let handler = async move |client: Connection| room.chat(client).await;
    let server = Server::default().shutdown(Shutdown::on_signals()?);
    ex.block_on(server.serve(&ex, listener, handler)).map(drop)
}

type Queue = Sender<Arc<[u8]>>;

pub(crate) struct Room {
    pub(crate) clients: Mutex<Vec<(Peer, Queue)>>,
    /// If true, a full queue drops its oldest frame. Otherwise its client is reset.
    pub(crate) drop_oldest: bool,
}

impl Room {
    /// Serves a client until it ends its half, is reset, or the server drains.
    pub(crate) async fn chat(&self, mut client: Connection) -> io::Result<()> {
        let (queue, frames) = bounded(MAX_QUEUED_FRAMES);
        self.join(client.peer, queue);
        client.reader.set_frame_limit(MAX_FRAME_BYTES);
        let mut receive = pin!(async {
            while client.reader.more_or_drain().await? {
                if let Some(frame) = client.reader.until(&[b"\0"]).await? {
                    self.send_to_all(&frame.into());
                }
            }
            io::Result::Ok(None)
        });
        loop {
            // The queue has priority, so a client that does not read is not read from either.
            let next = async { Ok(frames.recv().await.ok()) };
            match future::or(next, receive.as_mut()).await? {
                Some(frame) => client.writer.write_all(&frame).await?,
                None => return Ok(()),
            }
        }
    }

    fn join(&self, peer: Peer, queue: Queue) {
        let mut clients = self.clients.lock().expect("no panic");
        clients.retain(|(_, queue)| !queue.is_closed());
        clients.push((peer, queue));
    }

    /// Adds a frame to each queue, in the same order for all.
    fn send_to_all(&self, frame: &Arc<[u8]>) {
        let mut clients = self.clients.lock().expect("no panic");
        clients.retain(|(peer, queue)| {
            if queue.is_full() && !self.drop_oldest {
                peer.abort();
            }
            queue.force_send(frame.clone()).is_ok()
        });
    }
}
