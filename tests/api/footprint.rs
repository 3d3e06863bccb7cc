//! The sizes of an idle connection, which docs/decisions/0024 adds up.

use std::io;
use std::sync::Mutex;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::connection::{AnyRead, AnyWrite};
use halves::proxy_protocol::{ProxyProtocol, Version};
use halves::service::{Upper, echo, upper};
use halves::{Chunk, Connection, Executor, Server, bind, connect, spawn_fn};

/// Runs one connection with this handler. Returns the size of its task in bytes.
fn task<H, F>(handler: H) -> usize
where
    H: FnOnce(Connection) -> F + Clone + Send + 'static,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let ex = Executor::new();
    let size = Mutex::new(0);
    let spawn = spawn_fn(|task| {
        *size.lock().expect("no panic") = size_of_val(&task);
        ex.spawn(task).detach();
    });
    let served = async {
        let listeners = bind("127.0.0.1:0").await?;
        let address = listeners.local_addrs()[0].to_string();
        let client = async {
            let mut client = connect(address.as_str()).await?;
            client.writer.write_all(b"a").await?;
            client.reader.read_exact(&mut [0]).await?;
            client.writer.close().await
        };
        let serve = async {
            Server::default().serve(spawn, listeners, handler).await?;
            Ok(())
        };
        future::or(client, serve).await
    };
    ex.block_on(served).expect("served");
    size.into_inner().expect("no panic")
}

#[test]
fn halves_chunks_and_connections_have_their_documented_sizes() {
    let pointer = size_of::<usize>();
    assert_eq!(size_of::<Chunk>(), pointer);
    assert_eq!(size_of::<AnyRead>(), pointer);
    assert_eq!(size_of::<AnyWrite>(), pointer);
    assert!(size_of::<Connection>() <= 56, "{}", size_of::<Connection>());
}

#[test]
fn a_task_has_the_size_of_its_handler_and_a_ticket() {
    let service = Upper::default();
    let (upper_task, echo_task, closing_task) = (
        task(|c| upper(c.reader, c.writer)),
        task(|c| echo(c.reader, c.writer)),
        task(move |c| service.serve(c.reader, c.writer)),
    );
    assert_eq!([upper_task, echo_task, closing_task], [72, 64, 72]);
}

#[test]
fn a_handler_behind_headers_has_a_task_of_one_word_more() {
    let proxy = ProxyProtocol::new(Version::Any);
    let (direct, wrapped) = (
        task(|c| upper(c.reader, c.writer)),
        task(proxy.wrap(|c: Connection| upper(c.reader, c.writer))),
    );
    assert_eq!(wrapped, direct + size_of::<usize>());
}
