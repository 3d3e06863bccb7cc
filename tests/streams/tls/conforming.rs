//! The halves of TLS conform over each kind of stream.

use std::io;

use futures_lite::future;
use halves::Connection;
use halves::listener::memory;

use super::{Ends, VERSIONS};
use crate::process::joined::{on_both, relayed};
use crate::support::{conformance, place};

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

fn conforms_over(long: usize, connect: impl AsyncFn() -> io::Result<(Connection, Connection)>) {
    for version in VERSIONS {
        let ends = Ends::new(version);
        on_both(async || {
            conformance::check_layer(long, async || {
                let (near, far) = connect().await?;
                ends.shake_hands(near, far).await
            })
            .await;
        });
    }
}

#[test]
fn tls_over_tcp_conforms() {
    conforms_over(300_000, async || {
        conformance::connected("127.0.0.1:0").await
    });
}

#[test]
fn tls_over_unix_sockets_conforms() {
    let dir = place::dir();
    let path = dir.path().join("socket");
    let address = path.to_str().expect("text");
    conforms_over(300_000, async || conformance::connected(address).await);
}

#[test]
fn tls_over_the_pipes_of_a_child_conforms() {
    let dir = place::dir();
    conforms_over(30_000, async || {
        relayed(dir.path(), |command| command).await
    });
}
