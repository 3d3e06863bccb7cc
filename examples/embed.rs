//! A server beside the other tasks of a smol program: `cargo run --example embed`

use std::io::{self, Write};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::service::upper;
use halves::{Connection, Handle, Server, bind, connect};

fn main() -> io::Result<()> {
    let ex = smol::Executor::new();
    smol::block_on(ex.run(async {
        let listener = bind("127.0.0.1:0").await?;
        let address = listener.local_addrs()[0].to_string();
        let server = Server::default();
        let client = ex.spawn(talk(address, server.handle()));

        let handler = async |Connection { reader, writer, .. }| upper(reader, writer).await;
        let report = server.serve(&ex, listener, handler).await?;

        client.await?;
        writeln!(io::stdout(), "bytes answered: {}", report.stats.bytes_out)
    }))
}

/// Another task of the program: sends a request, prints the server's statistics, and ends the
/// server.
async fn talk(address: String, server: Handle) -> io::Result<()> {
    let mut connection = connect(address).await?;
    connection.writer.write_all(b"hello from a task\n").await?;
    connection.writer.close().await?;
    let mut answer = String::new();
    connection.reader.read_to_string(&mut answer).await?;
    io::stdout().write_all(answer.as_bytes())?;
    writeln!(io::stdout(), "accepted so far: {}", server.stats().accepted)?;
    server.shutdown().drain();
    Ok(())
}
