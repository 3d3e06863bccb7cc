//! A chat of several nodes, linked by Redis:
//! `cargo run -p halves-cluster -- --listen 127.0.0.1:50007 --node a`
//!
//! ```text
//! client ──line──▶ Room::chat ──▶ bounded queue ──▶ Link ──PUBLISH──▶ Redis
//! client ◀─line─── Room::chat ◀── queue of the client ◀── Room::deliver ◀──┘
//! ```
//!
//! A line takes the way through Redis even to clients of its own node. So all nodes show one order.

mod link;
mod message;
mod room;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;
use futures_lite::future;
use halves::{Clock, Connection, Executor, Server, Shutdown, bind};

use crate::link::Link;
use crate::room::Room;

/// The time for clients to leave at the end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The time to publish the last lines, after the clients have left.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);

/// A node of a chat. Nodes with the same Redis server share their lines.
#[derive(FromArgs)]
struct Options {
    /// address for clients (127.0.0.1:50007, /run/chat.sock)
    #[argh(option, default = "\"127.0.0.1:50007\".into()")]
    listen: String,
    /// address of Redis (redis://HOST:PORT, unix:/run/redis.sock)
    #[argh(option, default = "\"redis://127.0.0.1\".into()")]
    redis: String,
    /// name of this node: 1 to 32 letters, digits or hyphens
    #[argh(option, from_str_fn(message::node_name))]
    node: String,
}

fn main() -> ExitCode {
    let options = argh::from_env();
    let ex = Executor::new();
    match ex.block_on(run(&ex, options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Connects to Redis, then serves clients until a signal.
async fn run(ex: &Executor, options: Options) -> io::Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let clock = Clock::default();
    let listener = bind(options.listen).await?;
    let address = listener.local_addrs()[0].to_string();
    let (room, lines) = Room::new(&options.node);
    let mut link = Link::new(&options.redis, room.clone(), lines, clock.clone())?;
    let connected = async { Some(link.connect().await) };
    let requested = async {
        shutdown.requested().await;
        None
    };
    let Some(session) = future::or(connected, requested).await else {
        return Ok(());
    };
    writeln!(io::stdout(), "listening on {address}")?;

    let publishing = ex.spawn(link.run(session));
    let server = Server::default()
        .drain_timeout(DRAIN_TIMEOUT)
        .shutdown(shutdown);
    let chat = {
        let room = room.clone();
        async move |client: Connection| room.chat(client).await
    };
    server.serve(ex, listener, chat).await?;
    room.close();
    let published = clock.timeout(PUBLISH_TIMEOUT, publishing).await;
    published.map_err(|_| io::Error::other("the last lines are not published: no answer of Redis"))
}
