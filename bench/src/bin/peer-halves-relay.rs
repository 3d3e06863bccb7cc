//! A relay on the library: `connect`, then `service::relay`, in a handler.

use halves::{Connection, Executor, bind, connect, serve, service};
use halves_bench::peer::RelayOptions;
use std::io;

fn main() -> io::Result<()> {
    let options = RelayOptions::from_env();
    let ex = Executor::new();
    ex.block_on(ex.spawn(listen(ex.clone(), options)))
}

async fn listen(ex: Executor, options: RelayOptions) -> io::Result<()> {
    let listeners = bind(options.address()).await?;
    let handler = async move |client: Connection| {
        let server = connect(options.target()).await?;
        service::relay(client, server).await
    };
    serve(&ex, listeners, handler).await?;
    Ok(())
}
