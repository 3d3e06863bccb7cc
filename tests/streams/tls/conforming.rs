//! The halves of TLS conform over each kind of stream.

use std::io;

use futures_lite::future;
use halves::listener::memory;
use halves::{Connection, Executor, Listener, bind, connect};

use super::{Ends, VERSIONS};
use crate::support::conformance;

#[test]
fn tls_over_memory_conforms() {
    for version in VERSIONS {
        // With the smallest bound, each byte of a record is alone.
        for (bound, long) in [(1, 300), (1000, 20_000), (1 << 20, 200_000)] {
            let ends = Ends::new(version);
            future::block_on(conformance::check_layer(long, async || {
                let (near, far) = memory::pair(bound);
                ends.shake_hands(near, far).await
            }));
        }
    }
}

/// Two ends of a connection through a listener.
async fn over(address: &str) -> io::Result<(Connection, Connection)> {
    let mut listeners = bind(address).await?;
    let address = listeners.local_addrs()[0].to_string();
    let (near, far) = future::try_zip(connect(address), listeners.accept()).await?;
    Ok((near, far.expect("a listener of sockets does not end")))
}

#[test]
fn tls_over_sockets_conforms() {
    for version in VERSIONS {
        let ends = Ends::new(version);
        let tcp = conformance::check_layer(300_000, async || {
            let (near, far) = over("127.0.0.1:0").await?;
            ends.shake_hands(near, far).await
        });
        Executor::new().block_on(tcp);
        // Without the reactor of an executor.
        let tcp = conformance::check_layer(3000, async || {
            let (near, far) = over("127.0.0.1:0").await?;
            ends.shake_hands(near, far).await
        });
        smol::block_on(tcp);
    }
}
