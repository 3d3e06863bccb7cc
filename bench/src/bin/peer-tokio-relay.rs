//! A relay on tokio's current_thread runtime: `copy_bidirectional`.

use halves_bench::peer::RelayOptions;
use std::io;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

fn main() -> io::Result<()> {
    let options = RelayOptions::from_env();
    let runtime = Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(listen(options))
}

async fn listen(options: RelayOptions) -> io::Result<()> {
    // The accept loop is a task: `block_on` polls its own future outside the scheduler.
    tokio::spawn(async move {
        let listener = TcpListener::bind(options.address()).await?;
        loop {
            let (client, _) = listener.accept().await?;
            tokio::spawn(async move {
                // A broken connection ends only this task.
                let _ = relay(client, options).await;
            });
        }
    })
    .await?
}

async fn relay(mut client: TcpStream, options: RelayOptions) -> io::Result<()> {
    let mut server = TcpStream::connect(options.target()).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
