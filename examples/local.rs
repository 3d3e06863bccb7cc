//! A handler that is not `Send`, on one thread: `cargo run --example local -- 127.0.0.1:50007`
//!
//! The listener is one of smol: Halves serves these directly.

use std::cell::Cell;
use std::rc::Rc;

use futures_lite::AsyncWriteExt;
use halves::{Connection, serve};
use smol::net::{TcpListener, TcpStream};

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:50007".into());
    let ex = smol::LocalExecutor::new();
    smol::block_on(ex.run(async {
        let listener = TcpListener::bind(address).await?;
        let visitors = Rc::new(Cell::new(0));
        let welcome = async move |mut connection: Connection<TcpStream, TcpStream>| {
            visitors.set(visitors.get() + 1);
            let greeting = format!("You are visitor {}.\n", visitors.get());
            connection.writer.write_all(greeting.as_bytes()).await
        };
        serve(&ex, listener, welcome).await.map(drop)
    }))
}
