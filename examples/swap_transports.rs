//! The same handler on TCP, in memory, on standard input and output, and on files:
//! `cargo run --example swap_transports -- memory` (or `tcp ADDRESS`, `stdio`, `files IN OUT`)

use std::io::{self, Write};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::listener::files;
use halves::listener::memory::{self, Connector};
use halves::service::upper;
use halves::{Connection, Executor, Listeners, Once, bind, serve};

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let ex = Executor::new();
    ex.block_on(async {
        let listeners: Listeners = match *args.iter().map(String::as_str).collect::<Vec<_>>() {
            ["tcp", address] => bind(address).await?,
            ["stdio"] => bind("-").await?,
            ["files", input, output] => Once::new(files(input, output).await?).into(),
            ["memory"] => {
                let (listener, connector) = memory::listener(64);
                ex.spawn(ask(connector)).detach();
                listener.into()
            }
            _ => return Err(io::Error::other("write tcp, memory, stdio or files")),
        };
        let handler = async |Connection { reader, writer, .. }| upper(reader, writer).await;
        serve(&ex, listeners, handler).await.map(drop)
    })
}

/// The client in memory. The server ends when its last connector is dropped.
async fn ask(connector: Connector) -> io::Result<()> {
    let mut server = connector.connect().await?;
    server.writer.write_all(b"hello from memory\n").await?;
    server.writer.close().await?;
    let mut answer = String::new();
    server.reader.read_to_string(&mut answer).await?;
    io::stdout().write_all(answer.as_bytes())
}
