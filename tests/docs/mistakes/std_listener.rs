//! A listener of the standard library, which blocks.

use std::net::TcpListener;

use halves::{Connection, Executor, serve};
use halves::service::upper;

async fn run(ex: &Executor) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let handler = async |Connection { reader, writer, .. }| upper(reader, writer).await;
    serve(ex, listener, handler).await.map(drop)
}

fn main() {
    drop(run(&Executor::new()));
}
