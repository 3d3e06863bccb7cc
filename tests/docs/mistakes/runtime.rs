//! A runtime of another library in place of an executor.

use halves::{Connection, bind, serve};
use halves::service::upper;

struct Runtime;

async fn run() -> std::io::Result<()> {
    let listener = bind("127.0.0.1:0").await?;
    let handler = async |Connection { reader, writer, .. }| upper(reader, writer).await;
    serve(Runtime, listener, handler).await.map(drop)
}

fn main() {
    drop(run());
}
