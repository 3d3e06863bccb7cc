//! Relays that move while descriptors are used up.

#![cfg(target_os = "linux")]

use std::fs::File;
use std::io;
use std::iter;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::service::{Handover, HandoverListener, Relay, Target};
use halves::testing::pattern;
use halves::{Connection, Event, Executor, Handle, Listener, Listeners, Server, bind, connect};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::spliced::use_up;

/// A server, of which the relays can move, and the two ends of its only relay.
struct Old {
    ex: Executor,
    handle: Handle,
    handover: Handover,
    client: Connection,
    origin: Connection,
}

impl Old {
    async fn start(ex: &Executor) -> io::Result<Self> {
        let mut origin = bind("127.0.0.1:0").await?;
        let target = Target::new(origin.local_addrs()[0].to_string())?;
        let clients = bind("127.0.0.1:0").await?;
        let address = clients.local_addrs()[0].to_string();
        let (server, handover) = (Server::default(), Handover::default());
        let (handle, relay) = (server.handle(), Relay::to(target).handover(&handover));
        let serving = server.serve(ex.clone(), clients, move |c| relay.serve(c));
        ex.spawn(serving).detach();
        let (client, origin) = future::try_zip(connect(address), origin.accept()).await?;
        let mut this = Self {
            ex: ex.clone(),
            handle,
            handover,
            client,
            origin: origin.expect("it listens"),
        };
        this.pass(b"a").await?;
        Ok(this)
    }

    async fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut received = vec![0; bytes.len()];
        self.client.writer.write_all(bytes).await?;
        self.client.writer.flush().await?;
        self.origin.reader.read_exact(&mut received).await?;
        assert_eq!(received, bytes);
        Ok(())
    }

    /// Serves the relays of a channel.
    fn serve(&self, server: Server, relays: HandoverListener<Listeners>) -> io::Result<Handle> {
        let handle = server.handle();
        let relay = Relay::to(Target::new("127.0.0.1:9")?);
        let serving = server.serve(self.ex.clone(), relays, move |c| relay.serve(c));
        self.ex.spawn(serving).detach();
        Ok(handle)
    }
}

fn channel() -> io::Result<(OwnedFd, HandoverListener<Listeners>)> {
    let kind = SocketType::SEQPACKET;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    let relays = HandoverListener::new(Listeners::default(), theirs)?;
    Ok((ours, relays))
}

pub(crate) fn a_relay_waits_until_the_receiver_has_descriptors() -> io::Result<()> {
    let ex = Executor::new();
    ex.block_on(async {
        let mut old = Old::start(&ex).await?;
        let is_short = Arc::<AtomicBool>::default();
        let seen = is_short.clone();
        let server = Server::default().on_event(move |event| {
            if matches!(event, Event::LimitReached(_)) {
                seen.store(true, Ordering::Relaxed);
            }
        });
        let (ours, relays) = channel()?;
        let files = use_up();
        assert_eq!(old.handover.send(ours).await?.moved, 1);
        // The sockets of the old server are closed.
        let more: Vec<_> = iter::from_fn(|| File::open("/dev/null").ok()).collect();
        assert!(more.len() >= 2);
        let new = old.serve(server, relays)?;
        while !is_short.load(Ordering::Relaxed) {
            future::yield_now().await;
        }
        assert_eq!(new.stats().accepted, 0);
        drop((files, more));
        old.pass(b"b").await?;
        assert_eq!((new.stats().accepted, new.stats().bytes_in), (1, 1));
        Ok(())
    })
}

pub(crate) fn a_relay_stays_if_the_sender_has_no_descriptor_for_its_bytes() -> io::Result<()> {
    let ex = Executor::new();
    let sent = pattern(20 << 20);
    ex.block_on(async {
        let mut old = Old::start(&ex).await?;
        let (mut written, mut stalls) = (0, 0);
        while stalls < 200 {
            match future::poll_once(old.client.writer.write(&sent[written..])).await {
                Some(n) => (written, stalls) = (written + n?, 0),
                None => stalls += 1,
            }
            future::yield_now().await;
        }
        let (ours, _relays) = channel()?;
        let (files, last) = (use_up(), File::open("/dev/null")?);
        assert!(File::open("/dev/null").is_err(), "none is left");
        let done = old.handover.send(ours).await?;
        assert_eq!((done.moved, done.left), (0, 1));
        drop((files, last));
        assert_eq!(old.handle.connections().len(), 1);
        let (ours, relays) = channel()?;
        let new = old.serve(Server::default(), relays)?;
        assert_eq!(old.handover.send(ours).await?.moved, 1);
        old.client.writer.close().await?;
        let mut received = Vec::new();
        old.origin.reader.read_to_end(&mut received).await?;
        assert!(received == sent[..written]);
        assert_eq!(new.stats().accepted, 1);
        Ok(())
    })
}
