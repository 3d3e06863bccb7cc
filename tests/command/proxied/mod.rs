//! The PROXY protocol, behind the load balancers that send it.

pub(crate) mod haproxy;
mod headers;
pub(crate) mod nginx;
mod with_tls;

use std::net::SocketAddr;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use tempfile::TempDir;

use crate::common::{self, Client, Halves};

/// The options of a server behind a balancer of this machine.
const TRUSTING: [&str; 2] = ["--trust-proxy", "127.0.0.0/8"];
/// The address of the client in these tests.
const SOURCE: [u8; 4] = [127, 0, 0, 5];

/// A load balancer. It is killed when it is dropped.
pub(crate) struct Balancer {
    child: Child,
    /// The address of its first frontend.
    pub(crate) at: SocketAddr,
    /// Its files.
    _dir: TempDir,
}

impl Balancer {
    pub(crate) fn start(command: &mut Command, at: SocketAddr, dir: TempDir) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().expect("it starts");
        Self {
            child,
            at,
            _dir: dir,
        }
    }

    /// A client from this source, once the balancer listens.
    pub(crate) fn client(&self, source: [u8; 4]) -> Client {
        Client::from_source_in_time(source, self.at)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A free port on an address that no other test uses: a balancer takes no port 0.
pub(crate) fn free_address() -> SocketAddr {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = process::id().to_be_bytes();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    common::free_address([127, high | 128, low, count].into())
}

/// Asserts that the client is served, and that the log has its own address.
fn is_served_by_its_address(mut client: Client, server: &mut Halves) {
    let own = client.0.local_addr().expect("an address");
    assert_eq!(client.ask("hello"), "HELLO");
    drop(client);
    let closed = server.wait_for("closed");
    assert!(closed.contains(&format!(" peer={own} ")), "{own}: {closed}");
    assert!(closed.contains(" reason=eof "), "{closed}");
}
