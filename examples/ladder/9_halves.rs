//! Step 9, Halves: `cargo run --release --example ladder_09 -- 127.0.0.1:50007`
//!
//! Adds: all that surrounds a connection. The server continues after errors of `accept`,
//! connections are counted and limited, a client that sends without pause yields to the others, a
//! panic ends one connection only, and Ctrl-C lets answers finish. The handler takes two halves,
//! not a socket, so it also serves Unix sockets, standard input and output, files, and serial
//! lines. An idle connection has no buffer.
//! Still wrong: a client is identified by its address only; there is no TLS yet.
//! In the article: `server = await asyncio.start_server(handle_connection, host, port)`, the final
//! program. There `writer.write` is not awaited, so a client that does not read fills the server's
//! memory. Here a write waits.

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

/// Serves one client until it disconnects. An error ends only this connection.
async fn handle_connection(client: Connection) -> io::Result<()> {
    let addr = client.peer.endpoint();
    let _ = writeln!(io::stderr(), "Connected by {addr}");
    let result = upper(client).await;
    let _ = writeln!(io::stderr(), "Disconnected by {addr}");
    result
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
