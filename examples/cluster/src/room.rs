//! The clients of this node. It does not depend on Redis: lines leave through a channel, and come
//! back through [`Room::deliver`].

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_lite::{AsyncWriteExt, future};
use halves::{Connection, Peer};
use smol::channel::{Receiver, Sender, bounded};

use crate::message::{Arrivals, Message};

/// The most bytes of a line, without its `\n`.
const MAX_LINE_BYTES: usize = 1024;
/// The most lines that wait for a client to read them. The queues share the lines, so this is
/// about 1 MiB for any number of clients.
const MAX_QUEUED_LINES: usize = 1024;
/// The most lines that wait for Redis. Further clients that talk wait, and are not read from.
const MAX_UNPUBLISHED_LINES: usize = 256;

const LINK_DOWN: &str = "* the link to the other nodes is down: messages may be missing\n";
const LINK_UP: &str = "* the link to the other nodes is up again\n";

type Queue = Sender<Arc<str>>;

/// The clients of a node, and what has arrived for them.
pub(crate) struct Room {
    node: String,
    unpublished: Sender<String>,
    state: Mutex<State>,
}

struct State {
    clients: Vec<(Peer, Queue)>,
    arrivals: Arrivals,
    is_linked: bool,
}

impl Room {
    /// Returns a room, and the lines of its clients, to publish.
    pub(crate) fn new(node: &str) -> (Arc<Self>, Receiver<String>) {
        let (unpublished, lines) = bounded(MAX_UNPUBLISHED_LINES);
        let room = Self {
            node: node.into(),
            unpublished,
            state: Mutex::new(State {
                clients: Vec::new(),
                arrivals: Arrivals::default(),
                is_linked: true,
            }),
        };
        (Arc::new(room), lines)
    }

    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Serves a client until it ends its half, is reset, or the server drains.
    pub(crate) async fn chat(&self, mut client: Connection) -> io::Result<()> {
        let name = format!("{}-{}", self.node, client.peer.id());
        let queue = self.join(client.peer);
        client.reader.set_frame_limit(MAX_LINE_BYTES);
        let mut talk = pin!(async {
            while client.reader.more_or_drain().await? {
                if let Some(line) = client.reader.line().await? {
                    // Waits while Redis is slow or away, so that the client is not read from.
                    let line = format!("<{name}> {}", printable(&line));
                    let sent = self.unpublished.send(line).await;
                    sent.map_err(|_| io::Error::other("the node has ended"))?;
                }
            }
            io::Result::Ok(None)
        });
        loop {
            // The queue has priority, so a client that does not read is not read from either.
            let next = async { Ok(queue.recv().await.ok()) };
            match future::or(next, talk.as_mut()).await? {
                Some(line) => client.writer.write_all(line.as_bytes()).await?,
                None => return Ok(()),
            }
        }
    }

    /// Sends a message to all clients, unless it has arrived before. Does not wait.
    pub(crate) fn deliver(&self, bytes: &[u8]) {
        let Some(message) = Message::parse(bytes) else {
            return;
        };
        let mut state = self.state();
        let Some(missing) = state.arrivals.gap_before(&message) else {
            return;
        };
        if missing > 0 {
            let node = message.node();
            state.send_to_all(&format!("* {missing} messages of node {node} were lost\n"));
        }
        state.send_to_all(&format!("{}\n", message.line));
    }

    /// Sends all clients the state of the link. Those that join later receive it if it is down.
    pub(crate) fn set_linked(&self, is_linked: bool) {
        let mut state = self.state();
        state.is_linked = is_linked;
        state.send_to_all(if is_linked { LINK_UP } else { LINK_DOWN });
    }

    /// Ends the channel of lines, after those in it.
    pub(crate) fn close(&self) {
        self.unpublished.close();
    }

    fn join(&self, peer: Peer) -> Receiver<Arc<str>> {
        let (queue, lines) = bounded(MAX_QUEUED_LINES);
        let mut state = self.state();
        if !state.is_linked {
            queue.try_send(LINK_DOWN.into()).expect("it is empty");
        }
        state.clients.retain(|(_, queue)| !queue.is_closed());
        state.clients.push((peer, queue));
        lines
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }
}

impl State {
    /// Adds a line to each queue. A client with a full one is reset, as it would miss the line.
    fn send_to_all(&mut self, line: &str) {
        let line = Arc::from(line);
        self.clients.retain(|(peer, queue)| {
            let sent = queue.try_send(Arc::clone(&line));
            if sent.as_ref().is_err_and(|error| error.is_full()) {
                peer.abort();
            }
            sent.is_ok()
        });
    }
}

/// The text of a line, without characters that control the terminals of others.
fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests;
