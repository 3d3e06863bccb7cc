//! The uppercase echo on the library, run by a runtime of another project.

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::{Connection, bind, serve, spawn_fn};
use halves_bench::peer::PeerOptions;
use halves_bench::runtime::Runtime;
use std::io;

fn main() -> io::Result<()> {
    let options = PeerOptions::from_env();
    let handler = move |connection| echo(connection, options.buffer);
    let listeners = async move || bind(options.address()).await;
    let report = match options.runtime {
        Runtime::Tokio => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let spawn = spawn_fn(|task| drop(tokio::spawn(task)));
            // As a task, like the accept loop of `peer-tokio`.
            let serving = async move { serve(spawn, listeners().await?, handler).await };
            runtime.block_on(async { tokio::spawn(serving).await.map_err(io::Error::other)? })
        }
        Runtime::Smol => {
            let ex = smol::Executor::new();
            smol::block_on(ex.run(async { serve(&ex, listeners().await?, handler).await }))
        }
        Runtime::SmolLocal => {
            let ex = smol::LocalExecutor::new();
            smol::block_on(ex.run(async { serve(&ex, listeners().await?, handler).await }))
        }
        Runtime::SmolGlobal => {
            let spawn = spawn_fn(|task| smol::spawn(task).detach());
            let serving = async move { serve(spawn, listeners().await?, handler).await };
            smol::block_on(smol::spawn(serving))
        }
        Runtime::AsyncStd => {
            let spawn = spawn_fn(|task| drop(async_std::task::spawn(task)));
            let serving = async move { serve(spawn, listeners().await?, handler).await };
            async_std::task::block_on(async_std::task::spawn(serving))
        }
    };
    report.map(drop)
}

async fn echo(mut connection: Connection, buffer: usize) -> io::Result<()> {
    let mut buffer = vec![0; buffer];
    loop {
        let count = connection.reader.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        buffer[..count].make_ascii_uppercase();
        connection.writer.write_all(&buffer[..count]).await?;
    }
}
