//! The uppercase echo over TLS, by futures-rustls on async-net, with smol's executor.

use async_executor::Executor;
use async_net::{TcpListener, TcpStream};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use futures_rustls::TlsAcceptor;
use halves_bench::peer::{PeerOptions, TlsPeerOptions};
use halves_bench::tls;
use std::io;

static EXECUTOR: Executor<'static> = Executor::new();

fn main() -> io::Result<()> {
    let options = TlsPeerOptions::from_env();
    let config = tls::server_config(&options.certificate, &options.key)?;
    let accepting = EXECUTOR.spawn(listen(options.peer, config.into()));
    async_io::block_on(EXECUTOR.run(accepting))
}

async fn listen(options: PeerOptions, acceptor: TlsAcceptor) -> io::Result<()> {
    let listener = TcpListener::bind(options.address()).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        if options.nodelay {
            stream.set_nodelay(true)?;
        }
        let acceptor = acceptor.clone();
        let connection = async move {
            // A broken connection ends only this task.
            let _ = echo(stream, acceptor, options.buffer).await;
        };
        EXECUTOR.spawn(connection).detach();
    }
}

async fn echo(stream: TcpStream, acceptor: TlsAcceptor, buffer: usize) -> io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut buffer = vec![0; buffer];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return stream.close().await;
        }
        buffer[..count].make_ascii_uppercase();
        stream.write_all(&buffer[..count]).await?;
        stream.flush().await?;
    }
}
