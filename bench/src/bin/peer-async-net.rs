//! The uppercase echo on async-net: on smol, on an executor or globally, or on async-std.

use async_executor::{Executor, LocalExecutor};
use async_net::{TcpListener, TcpStream};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves_bench::peer::PeerOptions;
use halves_bench::runtime::Runtime;
use std::io;
use std::rc::Rc;

static EXECUTOR: Executor<'static> = Executor::new();

fn main() -> io::Result<()> {
    let options = PeerOptions::from_env();
    let buffer = options.buffer;
    match options.runtime {
        Runtime::Smol => {
            let begin = move |stream| EXECUTOR.spawn(echo(stream, buffer)).detach();
            async_io::block_on(EXECUTOR.run(EXECUTOR.spawn(listen(options, begin))))
        }
        Runtime::SmolLocal => {
            let ex = Rc::new(LocalExecutor::new());
            let tasks = ex.clone();
            let begin = move |stream| tasks.spawn(echo(stream, buffer)).detach();
            async_io::block_on(ex.run(ex.spawn(listen(options, begin))))
        }
        Runtime::SmolGlobal => {
            let begin = move |stream| smol::spawn(echo(stream, buffer)).detach();
            smol::block_on(smol::spawn(listen(options, begin)))
        }
        Runtime::AsyncStd => {
            let begin = move |stream| drop(async_std::task::spawn(echo(stream, buffer)));
            async_std::task::block_on(async_std::task::spawn(listen(options, begin)))
        }
        Runtime::Tokio => Err(io::Error::other("peer-tokio does that")),
    }
}

/// Accepts connections. Runs as a task: `run` polls its own future after every event.
async fn listen(options: PeerOptions, begin: impl Fn(TcpStream)) -> io::Result<()> {
    let listener = TcpListener::bind(options.address()).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        if options.nodelay {
            stream.set_nodelay(true)?;
        }
        begin(stream);
    }
}

async fn echo(mut stream: TcpStream, buffer: usize) {
    let mut buffer = vec![0; buffer];
    // A broken connection ends only this task.
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        buffer[..count].make_ascii_uppercase();
        if stream.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
}
