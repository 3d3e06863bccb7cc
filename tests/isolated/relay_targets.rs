//! A relay of which the connect fails because no descriptor is left.

#![cfg(target_os = "linux")]

use std::io;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory;
use halves::service::{Relay, Target, echo};
use halves::{Connection, Executor, Listener, Reason, Server, Shutdown, bind};
use rustix::io::Errno;

use super::spliced::use_up;

pub(crate) fn a_connect_without_a_descriptor_is_refused_and_the_next_one_works() -> io::Result<()> {
    let ex = Executor::new();
    ex.block_on(async {
        let (mut other, mut listeners) = (bind("127.0.0.1:0").await?, bind("127.0.0.1:0").await?);
        let [first, second] = [&other, &listeners].map(|listeners| {
            let address = listeners.local_addrs()[0].to_string();
            Target::new(address).expect("an address")
        });
        let relay = Relay::to(first).and(second);
        let (clients, connector) = memory::listener(1000);
        let shutdown = Shutdown::default();
        let server = Server::default().shutdown(shutdown.clone());
        let handle = server.handle();
        let serving = ex.spawn(server.serve(ex.clone(), clients, move |c| relay.serve(c)));
        let files = use_up();
        // None for this connect.
        let one_more = std::fs::File::open("/dev/null")?;
        let mut client = connector.connect().await?;
        let end = client.reader.read(&mut [0]).await;
        assert_eq!(
            end.expect_err("a reset").kind(),
            io::ErrorKind::ConnectionReset
        );
        assert_eq!(handle.stats().ended[Reason::Refused], 1);
        let too_many = Errno::MFILE.raw_os_error();
        let opened = std::fs::File::open("/dev/null").expect_err("none is left");
        assert_eq!(opened.raw_os_error(), Some(too_many));
        drop((files, one_more));

        // The targets were not left out: the second has its turn.
        let mut client = connector.connect().await?;
        client.writer.write_all(b"hello").await?;
        client.writer.close().await?;
        let origin = async {
            let missed = async {
                other.accept().await?;
                panic!("the first target, out of turn")
            };
            let accepted = future::or(listeners.accept(), missed).await?;
            let Connection { reader, writer, .. } = accepted.expect("it listens");
            echo(reader, writer).await
        };
        let mut received = Vec::new();
        let read = async { client.reader.read_to_end(&mut received).await.map(drop) };
        future::try_zip(origin, read).await?;
        assert_eq!(received, b"hello");
        assert!(future::poll_once(listeners.accept()).await.is_none());
        shutdown.drain();
        serving.await.map(drop)
    })
}
