//! A server for production: TLS, limits, an idle timeout, a drain, and retries when descriptors are
//! used up. It needs `cert.pem` and `key.pem`: `cargo run --example tls -- 127.0.0.1:50007`
use halves::{Executor, Server, Shutdown, Timeouts, bind, service::upper, tls::Acceptor};
use std::time::Duration;

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:50007".into());
    let ex = Executor::new();
    let tls = Acceptor::from_files("cert.pem", "key.pem")?;
    let server = Server::default()
        .max_connections(10_000)
        .timeouts(Timeouts::default().idle(Duration::from_mins(1)))
        .drain_timeout(Duration::from_secs(10))
        .shutdown(Shutdown::on_signals()?);
    let handler = tls.wrap(async |c| upper(c.reader, c.writer).await);
    ex.block_on(async { server.serve(&ex, bind(address).await?, handler).await })?;
    Ok(())
}
