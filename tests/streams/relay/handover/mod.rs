//! Relays that move to another process. Here both processes are servers of one.

mod bytes;
mod failing;
mod kept;
mod limits;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::service::{HandedOver, Handover, HandoverListener, Relay, Target};
use halves::{
    Connection, Event, Executor, Handle, Listener, Listeners, Report, Server, bind, connect,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use smol::Task;
use tempfile::TempDir;

use crate::support::place;

/// The servers, one after another, and the origin that they relay to.
struct World {
    ex: Executor,
    origin: Listeners,
    target: Target,
    _dir: TempDir,
}

/// One server with relays that can move.
struct Process {
    handle: Handle,
    handover: Handover,
    closed: Arc<Mutex<Vec<String>>>,
    serving: Task<io::Result<Report>>,
}

/// Runs a test with an origin at a TCP address or a Unix socket.
fn run(unix: bool, test: impl AsyncFnOnce(World)) {
    let ex = Executor::new();
    ex.clone().block_on(async {
        let dir = place::dir();
        let path = dir.path().join("origin").display().to_string();
        let address = if unix { path.as_str() } else { "127.0.0.1:0" };
        let origin = bind(address).await.expect("a free address");
        let target = Target::new(origin.local_addrs()[0].to_string()).expect("an address");
        test(World {
            ex,
            origin,
            target,
            _dir: dir,
        })
        .await;
    });
}

impl World {
    /// Starts the first process, which listens.
    async fn first(&self) -> Process {
        let listeners = bind("127.0.0.1:0").await.expect("a free port");
        self.process(listeners, Server::default())
    }

    /// Starts a process without a predecessor.
    fn process(&self, listeners: Listeners, server: Server) -> Process {
        let (_, theirs) = channel();
        self.taking(listeners, theirs, server)
    }

    /// Starts a process that listens, and takes relays from a channel.
    fn taking(&self, listeners: Listeners, channel: OwnedFd, server: Server) -> Process {
        let listener = HandoverListener::new(listeners, channel).expect("a channel");
        let (handover, closed) = (Handover::default(), Arc::<Mutex<Vec<String>>>::default());
        let events = closed.clone();
        let server = server.on_event(move |event| {
            let text = match event {
                Event::Closed(closed) => {
                    let peer = &closed.peer;
                    let counts = (peer.bytes_in(), peer.bytes_out());
                    format!("{} in={} out={}", closed.reason, counts.0, counts.1)
                }
                Event::AcceptFailed(error) => error.to_string(),
                _ => return,
            };
            events.lock().expect("no panic").push(text);
        });
        let handle = server.handle();
        let relay = Relay::to(self.target.clone()).handover(&handover);
        let serving = server.serve(self.ex.clone(), listener, move |c| relay.serve(c));
        Process {
            handle,
            handover,
            closed,
            serving: self.ex.spawn(serving),
        }
    }

    /// Starts a process that takes relays from a channel.
    fn successor(&self, channel: OwnedFd, server: Server) -> Process {
        self.taking(Listeners::default(), channel, server)
    }

    /// Connects a client through the process, and returns its end and that of the origin.
    async fn connect(&mut self, process: &Process) -> (Connection, Connection) {
        process.until_listening().await;
        let address = process.handle.local_addrs()[0].to_string();
        let connecting = connect(address);
        let (client, origin) = future::try_zip(connecting, self.origin.accept())
            .await
            .expect("connected");
        (client, origin.expect("it listens"))
    }

    /// Moves all relays to a new process.
    async fn move_all(&self, from: &Process) -> (Process, HandedOver) {
        let (ours, theirs) = channel();
        let to = self.successor(theirs, Server::default());
        let done = from.handover.send(ours).await.expect("a channel");
        while to.handle.stats().accepted < done.moved as u64 {
            future::yield_now().await;
        }
        (to, done)
    }
}

impl Process {
    fn closed(&self) -> Vec<String> {
        std::mem::take(&mut *self.closed.lock().expect("no panic"))
    }

    /// Waits until this many events of [`closed`](Self::closed) are there.
    async fn until_closed(&self, count: usize) -> Vec<String> {
        while self.closed.lock().expect("no panic").len() < count {
            future::yield_now().await;
        }
        self.closed()
    }

    async fn until_listening(&self) {
        while self.handle.local_addrs().is_empty() {
            future::yield_now().await;
        }
    }

    fn open(&self) -> usize {
        self.handle.connections().len()
    }

    async fn until_open(&self, count: usize) {
        while self.open() != count {
            future::yield_now().await;
        }
    }

    async fn end(self) -> Report {
        self.handle.shutdown().drain();
        self.serving.await.expect("no error")
    }
}

/// A channel between two processes: the end of the old one, and that of the new one.
fn channel() -> (OwnedFd, OwnedFd) {
    let kind = SocketType::SEQPACKET;
    socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).expect("a pair")
}

/// Sends bytes from one end to the other.
async fn pass(from: &mut Connection, to: &mut Connection, bytes: &[u8]) {
    let mut received = vec![0; bytes.len()];
    let passed = future::try_zip(
        async {
            from.writer.write_all(bytes).await?;
            from.writer.flush().await
        },
        to.reader.read_exact(&mut received),
    );
    passed.await.expect("a relay");
    assert!(received == bytes);
}

/// Ends one side, and reads the end at the other one.
async fn end(from: &mut Connection, to: &mut Connection) {
    from.writer.close().await.expect("open");
    let n = to.reader.read(&mut [0; 16]).await.expect("an end");
    assert_eq!(n, 0);
}
