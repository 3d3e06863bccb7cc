//! The uppercase echo on async-net and async-executor, in one thread.

use async_executor::Executor;
use async_net::{TcpListener, TcpStream};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves_bench::peer::PeerOptions;
use std::io;

static EXECUTOR: Executor<'static> = Executor::new();

fn main() -> io::Result<()> {
    let options = PeerOptions::from_env();
    async_io::block_on(EXECUTOR.run(listen(options)))
}

async fn listen(options: PeerOptions) -> io::Result<()> {
    let listener = TcpListener::bind(options.address()).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        if options.nodelay {
            stream.set_nodelay(true)?;
        }
        EXECUTOR
            .spawn(async move {
                // A broken connection is that client's own affair.
                let _ = echo(stream, options.buffer).await;
            })
            .detach();
    }
}

async fn echo(mut stream: TcpStream, buffer: usize) -> io::Result<()> {
    let mut buffer = vec![0; buffer];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        buffer[..count].make_ascii_uppercase();
        stream.write_all(&buffer[..count]).await?;
    }
}
