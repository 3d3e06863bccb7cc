//! Greets each name, one per line: `cargo run --example greet -- 127.0.0.1:50007`
use futures_lite::AsyncWriteExt;
use halves::{Connection, Executor, bind, serve};

async fn greet(mut client: Connection) -> std::io::Result<()> {
    while let Some(name) = client.reader.line().await? {
        let answer = format!("Hello, {}!\n", String::from_utf8_lossy(&name).trim());
        client.writer.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:50007".into());
    let ex = Executor::new();
    let listener = ex.block_on(bind(address))?;
    ex.block_on(serve(&ex, listener, greet)).map(drop)
}
