//! Answers in capital letters: `cargo run --example upper -- 127.0.0.1:50007`
use halves::{Connection, Executor, bind, serve, service::upper};

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:50007".into());
    let ex = Executor::new();
    let listener = ex.block_on(bind(address))?;
    let handler = async |Connection { reader, writer, .. }| upper(reader, writer).await;
    ex.block_on(serve(&ex, listener, handler)).map(drop)
}
