//! A handler that returns nothing, in place of a result.

use halves::{Connection, Executor, bind, serve};

async fn ignore(client: Connection) {
    drop(client);
}

async fn run(ex: &Executor) -> std::io::Result<()> {
    serve(ex, bind("127.0.0.1:0").await?, ignore).await.map(drop)
}

fn main() {
    drop(run(&Executor::new()));
}
