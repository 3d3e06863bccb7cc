//! Step 9, Halves: `cargo run --release --example ladder_09 -- 127.0.0.1:50007`
//!
//! Adds: all that is around a connection. Accepting goes on after errors, connections are counted and limited,
//! a client who never pauses waits for the others, a panic stays with its client, and Ctrl-C lets answers
//! finish. The handler knows two halves and no socket: the same one serves Unix sockets, standard input and
//! output, files, a serial line. A connection that waits has no buffer.
//! Still wrong: an address is all that a client says of itself: no TLS yet.
//! In the article: `server = await asyncio.start_server(handle_connection, host, port)`, the final program.
//! There `writer.write` is not awaited: who reads nothing fills the server's memory. Here writing waits.

use std::io::{self, Write};

use futures_lite::AsyncWriteExt;
use halves::{Connection, Executor, Server, Shutdown, bind};

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:50007".into());
    let ex = Executor::new();
    ex.block_on(async {
        let listener = bind(address).await?;
        writeln!(
            io::stderr(),
            "listening local={}",
            listener.local_addrs()[0]
        )?;
        let server = Server::default().shutdown(Shutdown::on_signals()?);
        server
            .serve(&ex, listener, handle_connection)
            .await
            .map(drop)
    })
}

/// Talks to one client until it is gone. An error is that client's own affair.
async fn handle_connection(client: Connection) -> io::Result<()> {
    let addr = client.peer.endpoint();
    let _ = writeln!(io::stderr(), "Connected by {addr}");
    let ended = upper(client).await;
    let _ = writeln!(io::stderr(), "Disconnected by {addr}");
    ended
}

async fn upper(
    Connection {
        mut reader,
        mut writer,
        ..
    }: Connection,
) -> io::Result<()> {
    loop {
        let mut data = reader.read_chunk_or_drain().await?;
        if data.is_empty() {
            return Ok(());
        }
        data.make_ascii_uppercase();
        writer.write_all(&data).await?;
    }
}
