//! A server on another runtime, async-std: `cargo run --example async_std -- 127.0.0.1:50007`

use async_std::task;
use halves::service::upper;
use halves::{Connection, bind, serve, spawn_fn};

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:50007".into());
    let executor = spawn_fn(|connection| drop(task::spawn(connection)));
    let handler = async |Connection { reader, writer, .. }| upper(reader, writer).await;
    task::block_on(async {
        let listener = bind(address).await?;
        serve(executor, listener, handler).await.map(drop)
    })
}
