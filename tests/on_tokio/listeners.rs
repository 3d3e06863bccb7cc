//! Listeners of tokio.

use std::io::{self, Read, Write};
use std::net::{self, Shutdown};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use futures_lite::future;
use halves::{Connection, Endpoint, Listener, Reason, Report, Server, service, spawn_fn};
use tokio::net::{TcpListener, UnixListener};

use crate::{conformance, on_both, one_thread};

#[test]
fn connections_of_a_tcp_listener_conform() {
    on_both(async || {
        conformance::check(conformance::LARGE_TRANSFER_BYTES, async || {
            let mut listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?.to_string();
            let (near, far) =
                future::try_zip(halves::connect(address), Listener::accept(&mut listener)).await?;
            Ok((near, far.expect("a listener of sockets does not end")))
        })
        .await;
    });
}

#[test]
fn a_tcp_listener_is_served() {
    let (report, client) = one_thread().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        assert_eq!(listener.local_addrs(), [Endpoint::from(address)]);
        serve_one(listener, move || net::TcpStream::connect(address)).await
    });
    assert_eq!(report.stats.ended[Reason::Eof], 1);
    client.join().expect("it was answered");
}

#[test]
fn a_unix_listener_is_served() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("socket");
    let (report, client) = one_thread().block_on(async {
        let listener = UnixListener::bind(&path).expect("bound");
        assert_eq!(
            listener.local_addrs()[0].to_string(),
            format!("unix:{}", path.display())
        );
        let path = path.clone();
        serve_one(listener, move || UnixStream::connect(path)).await
    });
    assert_eq!(report.stats.ended[Reason::Eof], 1);
    client.join().expect("it was answered");
}

#[test]
fn connections_have_the_addresses_of_their_sockets() {
    one_thread().block_on(async {
        let mut listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let client = net::TcpStream::connect(address).expect("connected");
        let accepted = Listener::accept(&mut listener).await.expect("accepted");
        let connection = accepted.expect("the connection");
        let remote = client.local_addr().expect("connected");
        assert_eq!(connection.peer.endpoint(), Endpoint::from(remote));
        assert_eq!(connection.peer.local(), Endpoint::from(address));
    });
}

/// Serves one client, which sends text and receives it in capitals, and then ends the server.
async fn serve_one<L, S>(
    listener: L,
    connect: impl FnOnce() -> io::Result<S> + Send + 'static,
) -> (Report, JoinHandle<()>)
where
    L: Listener<Reader = halves::connection::AnyRead, Writer = halves::connection::AnyWrite>,
    S: Read + Write + HalfClose,
{
    let server = Server::default();
    let handle = server.handle();
    let client = thread::spawn(move || {
        let mut stream = connect().expect("connected");
        stream.write_all(b"hello").expect("sent");
        stream.half_close().expect("ended");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        assert_eq!(answer, "HELLO");
        handle.shutdown().drain();
    });
    let handler = async |c: Connection| service::upper(c.reader, c.writer).await;
    let spawn = spawn_fn(|task| drop(tokio::spawn(task)));
    let report = server.serve(spawn, listener, handler).await;
    (report.expect("it ends well"), client)
}

trait HalfClose {
    fn half_close(&self) -> io::Result<()>;
}

impl HalfClose for net::TcpStream {
    fn half_close(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl HalfClose for UnixStream {
    fn half_close(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}
