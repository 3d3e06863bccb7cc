//! A connection limit and a graceful shutdown: `cargo run --example graceful -- 127.0.0.1:50007`
//!
//! After Ctrl-C or TERM, connections have up to ten seconds to finish; a second signal cuts them.
use halves::{Connection, Executor, Server, Shutdown, bind, service::upper};
use std::{io::Write, time::Duration};

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:50007".into());
    let ex = Executor::new();
    let listener = ex.block_on(bind(address))?;
    let server = Server::default()
        .max_connections(1000)
        .drain_timeout(Duration::from_secs(10))
        .shutdown(Shutdown::on_signals()?);
    let handler = async |Connection { reader, writer, .. }| upper(reader, writer).await;
    let report = ex.block_on(server.serve(&ex, listener, handler))?;
    let (finished, aborted) = (report.finished, report.aborted);
    writeln!(std::io::stdout(), "{finished} finished, {aborted} aborted")
}
