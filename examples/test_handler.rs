//! A handler of your own and its tests, without a network: `cargo test --example test_handler`

use std::io::{self, Write};

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::{Connection, listener::memory};

/// Reads a name and greets it.
async fn greet(mut client: Connection) -> io::Result<()> {
    let mut name = String::new();
    client.reader.take(100).read_to_string(&mut name).await?;
    let answer = format!("Hello, {}!\n", name.trim());
    client.writer.write_all(answer.as_bytes()).await
}

/// What `greet` answers. The pipe holds one byte, so that every byte is a read of its own.
fn ask(name: &str) -> io::Result<String> {
    let (mut here, there) = memory::pair(1);
    let mut answer = String::new();
    let client = async {
        here.writer.write_all(name.as_bytes()).await?;
        here.writer.close().await?;
        here.reader.read_to_string(&mut answer).await
    };
    future::block_on(future::try_zip(greet(there.erase()), client))?;
    Ok(answer)
}

#[test]
fn a_name_is_greeted() -> io::Result<()> {
    assert_eq!(ask("Ada\n")?, "Hello, Ada!\n");
    Ok(())
}

#[test]
fn who_left_before_the_greeting_is_an_error() {
    let (here, there) = memory::pair(64);
    drop(here);
    let error = future::block_on(greet(there.erase())).expect_err("nobody is there");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

fn main() -> io::Result<()> {
    io::stdout().write_all(ask("world")?.as_bytes())
}
