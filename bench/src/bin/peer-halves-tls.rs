//! The uppercase echo over TLS on the library, as a user writes it: a handler with a buffer of its
//! own.

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::tls::{Acceptor, TlsConnection};
use halves::{Executor, Server, bind};
use halves_bench::peer::TlsPeerOptions;
use std::io;

fn main() -> io::Result<()> {
    let options = TlsPeerOptions::from_env();
    let acceptor =
        Acceptor::from_files(options.certificate, options.key).map_err(io::Error::other)?;
    let (buffer, address) = (options.peer.buffer, options.peer.address());
    let handler = acceptor.wrap(move |mut connection: TlsConnection| async move {
        let mut buffer = vec![0; buffer];
        loop {
            let count = connection.reader.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            buffer[..count].make_ascii_uppercase();
            connection.writer.write_all(&buffer[..count]).await?;
        }
    });
    let ex = Executor::new();
    let tasks = ex.clone();
    ex.block_on(async {
        let listeners = bind(address.to_string()).await?;
        Server::default().serve(&tasks, listeners, handler).await
    })?;
    Ok(())
}
