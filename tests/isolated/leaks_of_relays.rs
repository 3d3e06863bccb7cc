//! Nothing is left of 3,000 relays that end in all ways: no descriptor, pipe or thread.

use std::io;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory;
use halves::service::{Relay, Target, relay};
use halves::{Connection, Listener, bind};

use crate::support::leftovers::leaves_nothing;
use crate::support::{conformance, place};

/// More than fits into the buffers of sockets, so that pipes have bytes.
const LARGE_BYTES: usize = 8 << 20;

pub(crate) fn nothing_is_left_of_3000_relays() {
    let dir = place::dir();
    // Leaves the pipes that are kept, and the thread of async-io.
    smol::block_on(spliced()).expect("a transfer");
    leaves_nothing(dir.path(), "relays to a target", targeted);
    leaves_nothing(dir.path(), "relays that splice", async |n| {
        if n.is_multiple_of(100) {
            return spliced().await;
        }
        targeted(n).await
    });
}

/// Relays a client in memory to a target, and ends in one of several ways.
async fn targeted(n: usize) -> io::Result<()> {
    let mut listeners = bind("127.0.0.1:0").await?;
    let address = listeners.local_addrs()[0].to_string();
    let service = Relay::to(Target::new(address).map_err(io::Error::from)?);
    let (mut client, near) = memory::pair(100);
    if n.is_multiple_of(5) {
        drop(listeners);
        assert!(service.serve(near).await.is_err(), "refused");
        return Ok(());
    }
    let ends = async {
        client.writer.write_all(b"hello").await?;
        let mut origin = listeners.accept().await?.expect("it listens");
        origin.reader.read_exact(&mut [0; 5]).await?;
        match n % 5 {
            1 => {
                client.writer.close().await?;
                origin.writer.close().await?;
            }
            2 => client.peer.abort(),
            3 => origin.peer.abort(),
            // The relay is dropped.
            _ => return Ok(()),
        }
        // Open, until the relay has ended.
        future::pending::<()>().await;
        drop(origin);
        io::Result::Ok(())
    };
    let relayed = async {
        let _ = service.serve(near).await;
        Ok(())
    };
    future::or(relayed, ends).await
}

/// Stalls a transfer, and drops the relay while a pipe has bytes.
async fn spliced() -> io::Result<()> {
    let (mut client, near) = conformance::connected("127.0.0.1:0").await?;
    let (far, origin) = conformance::connected("127.0.0.1:0").await?;
    let peer = near.peer.clone();
    let bytes = vec![7; LARGE_BYTES];
    let sends = async {
        // The origin does not read.
        let _ = client.writer.write_all(&bytes).await;
        Ok(())
    };
    let stalled = async {
        let (mut turns, mut before) = (0, 0);
        while turns < 100 {
            future::yield_now().await;
            turns = if peer.bytes_in() == before {
                turns + 1
            } else {
                0
            };
            before = peer.bytes_in();
        }
        Ok(())
    };
    let relayed = async { relay(near, far).await };
    future::or(stalled, future::or(relayed, sends)).await?;
    let _: (Connection, Connection) = (client, origin);
    Ok(())
}
