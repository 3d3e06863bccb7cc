//! A handler of your own and its tests, without a network: `cargo test --example test_handler`

use futures_lite::{AsyncWriteExt, future};
use halves::Connection;
use halves::listener::memory;
use std::io::{self, Write};

/// Greets each name, one per line.
async fn greet(mut client: Connection) -> io::Result<()> {
    while let Some(name) = client.reader.line().await? {
        let answer = format!("Hello, {}!\n", String::from_utf8_lossy(&name).trim());
        client.writer.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// Returns the answer of `greet`.
fn ask(name: &str) -> io::Result<String> {
    let answer = future::block_on(memory::ask(greet, name))?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn a_name_is_greeted() {
    assert_eq!(ask("Ada\n").expect("an answer"), "Hello, Ada!\n");
}

#[test]
fn a_client_that_has_left_is_an_error() {
    let (mut here, there) = memory::pair(64);
    future::block_on(here.writer.write_all(b"Ada\n")).expect("there is room");
    drop(here);
    let error = future::block_on(greet(there.erase())).expect_err("the client has left");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

fn main() -> io::Result<()> {
    io::stdout().write_all(ask("world\n")?.as_bytes())
}
