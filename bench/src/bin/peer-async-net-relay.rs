//! A relay on async-net and async-executor: a copy in each direction.

use async_executor::Executor;
use async_net::{TcpListener, TcpStream};
use futures_lite::{AsyncWriteExt, future, io as lite};
use halves_bench::peer::RelayOptions;
use std::io;
use std::sync::Arc;

fn main() -> io::Result<()> {
    let options = RelayOptions::from_env();
    let ex = Arc::new(Executor::new());
    let listening = listen(ex.clone(), options);
    async_io::block_on(ex.run(ex.spawn(listening)))
}

async fn listen(ex: Arc<Executor<'static>>, options: RelayOptions) -> io::Result<()> {
    let listener = TcpListener::bind(options.address()).await?;
    loop {
        let (client, _) = listener.accept().await?;
        // A broken connection ends only its task.
        ex.spawn(async move { relay(client, options).await.ok() })
            .detach();
    }
}

async fn relay(client: TcpStream, options: RelayOptions) -> io::Result<()> {
    let server = TcpStream::connect(options.target()).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let there = copy(client.clone(), server.clone());
    future::try_zip(there, copy(server, client)).await?;
    Ok(())
}

async fn copy(from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    lite::copy(from, &mut to).await?;
    to.close().await
}
