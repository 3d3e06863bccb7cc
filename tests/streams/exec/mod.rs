//! A child process for each connection: its streams, its attributes and its end.

mod bytes;
mod child;
mod ending;
mod starting;
mod streams;
#[cfg(feature = "tls")]
mod tls;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use halves::service::Exec;
use halves::{Connection, Peer, Server};

use crate::support::harness::sockets::{Client, Family, Served, World, eventually};

/// Both kinds of sockets.
const FAMILIES: [Family; 2] = [Family::Tcp, Family::Unix];

/// Runs a script of the shell for each connection.
fn sh(script: &str) -> Exec {
    let exec = Exec::new("sh").expect("a shell");
    exec.args(["-c", script]).expect("no zero byte")
}

/// The process ids of the children that were started.
#[derive(Clone, Default)]
struct Started(Arc<Mutex<Vec<u32>>>);

impl Started {
    /// A program of which the children are noted here.
    fn of(&self, exec: Exec) -> Exec {
        let ids = self.0.clone();
        exec.on_start(move |_, id| ids.lock().expect("no panic").push(id))
    }

    /// Serves with a program of which the children are noted.
    async fn serve(&self, world: &World, server: Server, exec: Exec) -> Served {
        let exec = self.of(exec);
        world.serve(server, move |c| exec.serve(c)).await
    }

    /// Waits for the first child.
    async fn id(&self) -> u32 {
        eventually(|| self.0.lock().expect("no panic").first().copied()).await
    }
}

/// The peers of the connections that were served.
#[derive(Clone, Default)]
struct Peers(Arc<Mutex<Vec<Peer>>>);

impl Peers {
    /// Serves with a program, and takes note of the peers.
    async fn serve(&self, world: &World, server: Server, exec: Exec) -> Served {
        let peers = self.0.clone();
        let handler = move |c: Connection| {
            peers.lock().expect("no panic").push(c.peer.clone());
            exec.serve(c)
        };
        world.serve(server, handler).await
    }

    fn first(&self) -> Peer {
        self.0.lock().expect("no panic")[0].clone()
    }
}

/// Serves with a program, and connects.
async fn served(world: &World, exec: Exec) -> (Served, Client) {
    let served = world.serve(Server::default(), move |c| exec.serve(c)).await;
    let client = served.connect();
    (served, client)
}

/// Waits until nothing is left of a process, not even its exit status.
async fn gone(id: u32) {
    eventually(|| (!Path::new(&format!("/proc/{id}")).exists()).then_some(())).await;
}

/// Waits until a process has exited. Its parent may still have to wait for it.
async fn exited(id: u32) {
    let has_exited = || {
        let stat = fs::read_to_string(format!("/proc/{id}/stat"));
        stat.map_or(true, |stat| stat.contains(") Z "))
            .then_some(())
    };
    eventually(has_exited).await;
}

/// Reads a line with a number.
async fn number(client: &Client) -> u32 {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        line.extend(client.take(1).await);
    }
    let line = String::from_utf8(line).expect("text");
    line.trim().parse().expect("a number")
}
