//! The Rust server of docs/asyncio.md: `cargo run --example from_asyncio -- 127.0.0.1:50007`
#![allow(clippy::print_stdout, reason = "it prints each event")]

use futures_lite::AsyncWriteExt;
use halves::{Connection, Executor, Server, bind};

async fn handle(mut client: Connection) -> std::io::Result<()> {
    while client.reader.more_or_drain().await? {
        let mut data = client.reader.read_chunk().await?;
        data.make_ascii_uppercase();
        client.writer.write_all(&data).await?;
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).expect("an address");
    let ex = Executor::new();
    let listener = ex.block_on(bind(address))?;
    let server = Server::default().on_event(|event| println!("{event}"));
    ex.block_on(server.serve(&ex, listener, handle)).map(drop)
}
