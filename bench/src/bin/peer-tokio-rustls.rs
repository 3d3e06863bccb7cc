//! The uppercase echo over TLS, by tokio-rustls on tokio's current_thread runtime.

use halves_bench::peer::{PeerOptions, TlsPeerOptions};
use halves_bench::tls;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio_rustls::TlsAcceptor;

fn main() -> io::Result<()> {
    let options = TlsPeerOptions::from_env();
    let config = tls::server_config(&options.certificate, &options.key)?;
    let runtime = Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(listen(options.peer, config.into()))
}

async fn listen(options: PeerOptions, acceptor: TlsAcceptor) -> io::Result<()> {
    // The accept loop is a task, as in the peer without TLS.
    tokio::spawn(async move {
        let listener = TcpListener::bind(options.address()).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            if options.nodelay {
                stream.set_nodelay(true)?;
            }
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A broken connection ends only this task.
                let _ = echo(stream, acceptor, options.buffer).await;
            });
        }
    })
    .await?
}

async fn echo(stream: TcpStream, acceptor: TlsAcceptor, buffer: usize) -> io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut buffer = vec![0; buffer];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return stream.shutdown().await;
        }
        buffer[..count].make_ascii_uppercase();
        stream.write_all(&buffer[..count]).await?;
        stream.flush().await?;
    }
}
