//! A child process for each client, with the connection as its standard input and output:
//! `cargo run --example child -- 127.0.0.1:50007 sort -r`

use std::io;

use futures_lite::io::copy;
use futures_lite::{AsyncWriteExt, future};
use halves::process::Command;
use halves::{Connection, Executor, Server, Shutdown, bind};

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:50007".into());
    let mut command: Vec<String> = args.collect();
    if command.is_empty() {
        command = ["tr", "a-z", "A-Z"].map(String::from).into();
    }
    let ex = Executor::new();
    let listener = ex.block_on(bind(address))?;
    let handler = async move |client| exec(client, &command).await;
    let server = Server::default().shutdown(Shutdown::on_signals()?);
    ex.block_on(server.serve(&ex, listener, handler)).map(drop)
}

async fn exec(mut client: Connection, command: &[String]) -> io::Result<()> {
    // If the client is reset, the server drops both, which kills the child.
    let (mut io, child) = Command::new(&command[0]).args(&command[1..]).connect()?;
    let send = async {
        // The child may exit before it has read everything.
        let _ = copy(&mut client.reader, &mut io.writer).await;
        let _ = io.writer.close().await;
        future::pending().await
    };
    let receive = copy(&mut io.reader, &mut client.writer);
    future::or(receive, send).await?;
    match child.wait().await? {
        status if status.success() => Ok(()),
        status => Err(io::Error::other(status.to_string())),
    }
}
