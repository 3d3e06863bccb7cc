//! An address in place of a listener.

use halves::{Connection, Executor, serve};
use halves::service::upper;

async fn run(ex: &Executor) -> std::io::Result<()> {
    let handler = async |Connection { reader, writer, .. }| upper(reader, writer).await;
    serve(ex, "127.0.0.1:0", handler).await.map(drop)
}

fn main() {
    drop(run(&Executor::new()));
}
