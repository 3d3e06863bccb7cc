//! Relays between streams of every kind conform as one stream.

use std::io;
use std::path::Path;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory;
use halves::process::Command;
use halves::testing::pattern;
use halves::{Connection, Executor, service};

#[cfg(feature = "tls")]
use crate::support::tls_ends::{Ends, VERSIONS};
use crate::support::{conformance, place};

const LONG_BYTES: usize = 100_000;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Memory,
    Tcp,
    Unix,
    #[cfg(feature = "tls")]
    Tls,
}

impl Kind {
    const ALL: &[Self] = &[
        Self::Memory,
        Self::Tcp,
        Self::Unix,
        #[cfg(feature = "tls")]
        Self::Tls,
    ];

    /// An end for the test, and one for the relay.
    async fn connect(self, dir: &Path) -> io::Result<(Connection, Connection)> {
        match self {
            Self::Memory => {
                let (outer, inner) = memory::pair(1000);
                Ok((outer.erase(), inner.erase()))
            }
            Self::Tcp => conformance::connected("127.0.0.1:0").await,
            Self::Unix => {
                let path = tempfile::tempdir_in(dir)?.keep().join("socket");
                conformance::connected(path.to_str().expect("text")).await
            }
            #[cfg(feature = "tls")]
            Self::Tls => {
                let (outer, inner) = conformance::connected("127.0.0.1:0").await?;
                let ends = Ends::new(VERSIONS[1]);
                let (outer, inner) = ends.shake_hands(outer, inner).await?;
                Ok((outer.erase(), inner.erase()))
            }
        }
    }
}

/// Checks the relay on an executor of ours, and on that of smol.
fn check_all(near: Kind) {
    let dir = place::dir();
    for &far in Kind::ALL {
        let pair = async || {
            let (client, near) = near.connect(dir.path()).await?;
            let (origin, far) = far.connect(dir.path()).await?;
            io::Result::Ok((client, near, far, origin))
        };
        let ex = Executor::new();
        ex.block_on(conformance::check(LONG_BYTES, async || {
            let (client, near, far, origin) = pair().await?;
            ex.spawn(async { drop(service::relay(near, far).await) })
                .detach();
            Ok((client, origin))
        }));
        smol::block_on(conformance::check(LONG_BYTES, async || {
            let (client, near, far, origin) = pair().await?;
            smol::spawn(async { drop(service::relay(near, far).await) }).detach();
            Ok((client, origin))
        }));
    }
}

#[test]
fn relays_from_memory_conform() {
    check_all(Kind::Memory);
}

#[test]
fn relays_from_tcp_conform() {
    check_all(Kind::Tcp);
}

#[test]
fn relays_from_unix_sockets_conform() {
    check_all(Kind::Unix);
}

#[cfg(feature = "tls")]
#[test]
fn relays_from_tls_conform() {
    check_all(Kind::Tls);
}

/// The child ends when its input does, and it has answered then.
#[test]
fn a_child_on_pipes_is_a_target() {
    let sent = pattern(1_000_000);
    for &kind in Kind::ALL {
        let dir = place::dir();
        let (received, result) = Executor::new().block_on(async {
            let (mut client, near) = kind.connect(dir.path()).await.expect("connected");
            let (far, _child) = Command::new("cat").connect().expect("it runs");
            let send = async {
                client.writer.write_all(&sent).await.expect("open");
                client.writer.close().await.expect("open");
            };
            let mut received = Vec::new();
            let read = client.reader.read_to_end(&mut received);
            let ends = future::zip(read, service::relay(near, far));
            let ((), (read, result)) = future::zip(send, ends).await;
            read.expect("an end in order");
            (received, result)
        });
        result.expect("both have ended");
        assert!(received == sent, "{kind:?}");
    }
}
