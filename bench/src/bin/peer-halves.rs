//! The uppercase echo on the library, as a user writes it: a handler with a buffer of its own.

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::proxy_protocol::{ProxyProtocol, Version};
use halves::{Connection, Executor, Server, bind};
use halves_bench::peer::PeerOptions;
use std::io;
use std::num::NonZero;

fn main() -> io::Result<()> {
    let options = PeerOptions::from_env();
    let threads = NonZero::new(options.threads).unwrap_or(NonZero::<usize>::MIN);
    let ex = Executor::try_threads(threads)?;
    let handler = move |mut connection: Connection| async move {
        let mut buffer = vec![0; options.buffer];
        loop {
            let count = connection.reader.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            options.work_on(&buffer[..count]);
            buffer[..count].make_ascii_uppercase();
            connection.writer.write_all(&buffer[..count]).await?;
        }
    };
    // As a task, so that one of the worker threads accepts.
    let tasks = ex.clone();
    ex.block_on(ex.spawn(async move {
        let listeners = bind(options.address().to_string()).await?;
        if options.proxy {
            let clients = "127.0.0.0/8".parse().map_err(io::Error::other)?;
            let proxy = ProxyProtocol::new(Version::V2).trust(clients);
            let (listeners, handler) = (proxy.listen(listeners), proxy.wrap(handler));
            return Server::default().serve(&tasks, listeners, handler).await;
        }
        Server::default().serve(&tasks, listeners, handler).await
    }))?;
    Ok(())
}
