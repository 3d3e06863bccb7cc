//! The uppercase echo on tokio: its current_thread runtime, or multi_thread when given two threads
//! or more.

use halves_bench::peer::PeerOptions;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

fn main() -> io::Result<()> {
    let options = PeerOptions::from_env();
    let runtime = match options.threads {
        1 => Builder::new_current_thread().enable_io().build()?,
        workers => Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_io()
            .build()?,
    };
    runtime.block_on(listen(options))
}

async fn listen(options: PeerOptions) -> io::Result<()> {
    // The accept loop is a task: `block_on` polls its own future outside the worker threads.
    tokio::spawn(async move {
        let listener = TcpListener::bind(options.address()).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            if options.nodelay {
                stream.set_nodelay(true)?;
            }
            tokio::spawn(async move {
                // A broken connection ends only this task.
                let _ = echo(stream, options).await;
            });
        }
    })
    .await?
}

async fn echo(mut stream: TcpStream, options: PeerOptions) -> io::Result<()> {
    let mut buffer = vec![0; options.buffer];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        options.work_on(&buffer[..count]);
        buffer[..count].make_ascii_uppercase();
        stream.write_all(&buffer[..count]).await?;
    }
}
