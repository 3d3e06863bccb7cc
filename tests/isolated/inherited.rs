//! Sockets that a process inherits: each is taken once, listeners and connections are
//! distinguished, and other owners are not disturbed.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::limits::Rules;
use halves::listener::inherited::{self, receive};
use halves::{Connection, Endpoint, Executor, Listener, Listeners, Reason, Report, Server};
use halves::{bind, connect, service};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{FdFlags, fcntl_getfd};
use rustix::net::{AddressFamily, SocketType, sockopt};
use smol::block_on;

use crate::support::place;

/// Descriptors that look inherited: they were open on exec before the library listed those. (These
/// tests start no child that would inherit them.)
static INHERITED: LazyLock<Mutex<Vec<OwnedFd>>> = LazyLock::new(|| {
    let null = File::open("/dev/null").expect("it is there");
    // A plain dup, which is open on exec.
    let dup = || rustix::io::dup(&null).expect("there is room");
    let all = (0..200).map(|_| dup()).collect();
    receive();
    Mutex::new(all)
});

/// The number of such a descriptor. It refers to `fd` now, and has no other owner.
fn inherited_number(fd: impl Into<OwnedFd>) -> RawFd {
    let mut inherited_number = INHERITED.lock().expect("no panic");
    let mut place = inherited_number.pop().expect("there are enough");
    rustix::io::dup2(fd.into(), &mut place).expect("both are open");
    place.into_raw_fd()
}

fn take(number: RawFd) -> io::Result<OwnedFd> {
    LazyLock::force(&INHERITED);
    inherited::take(number)
}

fn is_nonblocking(fd: impl AsFd) -> bool {
    let flags = fcntl_getfl(fd).expect("it is open");
    flags.contains(OFlags::NONBLOCK)
}

/// Far longer than any wait in a test.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Both ends of a connection. Reads of the second have a timeout.
fn pair() -> io::Result<(UnixStream, UnixStream)> {
    let (ours, peer) = UnixStream::pair()?;
    peer.set_read_timeout(Some(TIMEOUT))?;
    Ok((ours, peer))
}

fn upper(ex: &Executor, listeners: impl Into<Listeners>) -> io::Result<Report> {
    let handler = async |c: Connection| service::upper(c.reader, c.writer).await;
    ex.block_on(Server::default().serve(ex, listeners.into(), handler))
}

pub(crate) fn an_inherited_descriptor_is_taken_once() -> io::Result<()> {
    let number = inherited_number(UnixDatagram::unbound()?);
    let taken = take(number)?;
    assert_eq!(taken.as_raw_fd(), number);
    assert!(fcntl_getfd(&taken)?.contains(FdFlags::CLOEXEC));
    let again = take(number).expect_err("it is taken");
    assert_eq!(again.kind(), io::ErrorKind::InvalidInput);

    // The same with several threads that want it.
    for _ in 0..100 {
        let number = inherited_number(UnixDatagram::unbound()?);
        let takers: Vec<_> = (0..4)
            .map(|_| thread::spawn(move || take(number)))
            .collect();
        let taken = takers
            .into_iter()
            .map(|taker| taker.join().expect("no panic"));
        // All results are kept until all threads have tried.
        let taken: Vec<_> = taken.collect();
        assert_eq!(taken.iter().flatten().count(), 1);
    }
    Ok(())
}

pub(crate) fn descriptors_that_this_process_opened_are_not_taken() -> io::Result<()> {
    let ours = File::open("/dev/null")?;
    let error = take(ours.as_raw_fd()).expect_err("it is ours");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    ours.metadata()?;
    // Nor a descriptor opened for children, after the inherited ones were listed.
    let ours = rustix::io::dup(ours)?;
    let number = ours.as_raw_fd();
    let errors = [
        take(number).expect_err("it is ours"),
        block_on(bind(format!("fd:{number}"))).expect_err("it is ours"),
    ];
    for error in errors {
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
    fcntl_getfl(&ours)?;
    for number in [-1, RawFd::MAX, RawFd::MIN] {
        let error = take(number).expect_err("it is not open");
        assert_eq!(error.to_string(), "it is not open");
    }
    Ok(())
}

pub(crate) fn a_standard_descriptor_is_duplicated() -> io::Result<()> {
    for number in 0..3 {
        let taken = take(number)?;
        assert!(taken.as_raw_fd() > 2);
        assert!(fcntl_getfd(&taken)?.contains(FdFlags::CLOEXEC));
    }
    fcntl_getfl(io::stdin())?;
    Ok(())
}

pub(crate) fn other_descriptors_than_stream_sockets_are_refused() -> io::Result<()> {
    let packets = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None)?;
    for (fd, problem) in [
        (OwnedFd::from(File::open("/dev/null")?), "not a socket"),
        (io::pipe()?.0.into(), "not a socket"),
        (UnixDatagram::unbound()?.into(), "not a stream socket"),
        (packets, "not a stream socket"),
        (
            std::net::UdpSocket::bind("127.0.0.1:0")?.into(),
            "not a stream socket",
        ),
    ] {
        let number = inherited_number(fd);
        let error = block_on(bind(format!("fd:{number}"))).expect_err(problem);
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(
            error.to_string(),
            format!("cannot listen on fd:{number}: it is {problem}")
        );
    }
    Ok(())
}

pub(crate) fn a_socket_that_neither_listens_nor_is_connected_is_refused() -> io::Result<()> {
    let stream = |family| rustix::net::socket(family, SocketType::STREAM, None);
    let bound = stream(AddressFamily::INET)?;
    rustix::net::bind(
        &bound,
        &"127.0.0.1:0".parse::<SocketAddr>().expect("an address"),
    )?;
    for socket in [
        stream(AddressFamily::INET)?,
        bound,
        stream(AddressFamily::UNIX)?,
    ] {
        let problem = "it neither listens nor is connected";
        let error = Listeners::try_from(socket.try_clone()?).expect_err(problem);
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let number = inherited_number(socket);
        let error = block_on(bind(format!("fd:{number}"))).expect_err(problem);
        assert_eq!(
            error.to_string(),
            format!("cannot listen on fd:{number}: {problem}")
        );
    }
    // A half-closed connection is accepted, also if its client is gone.
    let (ours, peer) = pair()?;
    drop(peer);
    Listeners::try_from(OwnedFd::from(ours))?;
    Ok(())
}

pub(crate) fn a_listener_and_a_connection_are_distinguished() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let at = listener.local_addr()?;
    let client = TcpStream::connect(at)?;
    let (served, _) = listener.accept()?;
    block_on(async {
        let mut connected = bind(format!("fd:{}", inherited_number(served))).await?;
        let connection = connected.accept().await?.expect("the connection");
        assert_eq!(connection.peer.endpoint(), client.local_addr()?.into());
        assert_eq!(connection.peer.local(), at.into());
        assert!(connected.accept().await?.is_none());

        let mut listening = bind(format!("fd:{}", inherited_number(listener))).await?;
        assert_eq!(listening.local_addrs(), [at.into()]);
        for _ in 0..2 {
            let client = TcpStream::connect(at)?;
            let connection = listening.accept().await?.expect("one has connected");
            assert_eq!(connection.peer.endpoint(), client.local_addr()?.into());
        }
        Ok(())
    })
}

pub(crate) fn a_connection_can_be_connected_to_and_a_listener_cannot() -> io::Result<()> {
    let (ours, mut peer) = pair()?;
    let number = inherited_number(ours);
    block_on(async {
        let mut connection = connect(format!("fd:{number}")).await?;
        connection.writer.write_all(b"here").await?;
        peer.read_exact(&mut [0; 4])?;
        let known = connection.peer.credentials().expect("it is a Unix socket");
        assert_eq!(known.pid, Some(std::process::id()));
        io::Result::Ok(())
    })?;
    let number = inherited_number(TcpListener::bind("127.0.0.1:0")?);
    let error = block_on(connect(format!("fd:{number}"))).expect_err("it listens");
    assert!(error.to_string().ends_with("it is a socket that listens"));
    Ok(())
}

pub(crate) fn a_listener_is_not_shut_down_and_its_file_not_removed() -> io::Result<()> {
    let dir = place::dir();
    let path = dir.path().join("socket");
    let theirs = UnixListener::bind(&path)?;
    let mut listeners = Listeners::try_from(OwnedFd::from(theirs.try_clone()?))?;
    let _client = UnixStream::connect(&path)?;
    block_on(listeners.accept())?.expect("one has connected");
    drop(listeners);
    let _client = UnixStream::connect(&path)?;
    theirs.accept()?;

    let theirs = TcpListener::bind("127.0.0.1:0")?;
    drop(Listeners::try_from(OwnedFd::from(theirs.try_clone()?))?);
    let _client = TcpStream::connect(theirs.local_addr()?)?;
    theirs.accept()?;
    Ok(())
}

pub(crate) fn the_options_of_a_listener_stay_as_they_are() -> io::Result<()> {
    let theirs = TcpListener::bind("127.0.0.1:0")?;
    let mut listeners = Listeners::try_from(OwnedFd::from(theirs.try_clone()?))?;
    let _client = TcpStream::connect(theirs.local_addr()?)?;
    let connection = block_on(listeners.accept())?.expect("one has connected");
    assert!(!sockopt::tcp_nodelay(&theirs)?);
    // It has to be nonblocking, as otherwise an accept could block.
    assert!(is_nonblocking(&theirs));
    drop((connection, listeners));
    assert!(is_nonblocking(&theirs), "others may count on it by now");
    Ok(())
}

pub(crate) fn a_shared_connection_blocks_its_other_owners_as_before() -> io::Result<()> {
    for nonblocking in [false, true] {
        let (ours, mut peer) = pair()?;
        ours.set_nonblocking(nonblocking)?;
        // A blocking call fails after this time.
        ours.set_read_timeout(Some(TIMEOUT))?;
        ours.set_write_timeout(Some(TIMEOUT))?;
        let start = Instant::now();
        let shared = ours.try_clone()?;
        let ex = Executor::new();
        ex.block_on(async {
            let mut listeners = Listeners::try_from(OwnedFd::from(ours))?;
            let mut connection = listeners.accept().await?.expect("the connection");
            assert!(
                future::poll_once(connection.reader.read(&mut [0]))
                    .await
                    .is_none()
            );
            peer.write_all(b"here")?;
            connection.reader.read_exact(&mut [0; 4]).await?;
            // Writes until there is no room.
            let full = vec![0; 1 << 20];
            let writing = connection.writer.write_all(&full);
            assert!(future::poll_once(writing).await.is_none());
            assert_eq!(is_nonblocking(&shared), nonblocking);
            io::Result::Ok(())
        })?;
        assert_eq!(is_nonblocking(&shared), nonblocking);
        assert!(start.elapsed() < TIMEOUT);
    }
    Ok(())
}

pub(crate) fn the_end_reaches_the_peer_of_a_shared_connection() -> io::Result<()> {
    let (ours, mut peer) = pair()?;
    let shared = ours.try_clone()?;
    peer.write_all(b"hello")?;
    peer.shutdown(Shutdown::Write)?;
    let ex = Executor::new();
    let report = upper(&ex, Listeners::try_from(OwnedFd::from(ours))?)?;
    assert_eq!((report.finished, report.aborted), (1, 0));
    let mut answer = String::new();
    peer.read_to_string(&mut answer)?;
    assert_eq!(answer, "HELLO");
    drop(shared);
    Ok(())
}

pub(crate) fn a_handler_that_does_not_close_ends_a_shared_connection() -> io::Result<()> {
    let (ours, mut peer) = pair()?;
    let shared = ours.try_clone()?;
    peer.write_all(b"hello")?;
    peer.shutdown(Shutdown::Write)?;
    let ex = Executor::new();
    let listeners = Listeners::try_from(OwnedFd::from(ours))?;
    let handler = async |mut c: Connection| {
        c.reader.read_to_end(&mut Vec::new()).await?;
        c.writer.write_all(b"bye").await
    };
    let report = ex.block_on(Server::default().serve(&ex, listeners, handler))?;
    assert_eq!(report.stats.ended[Reason::Eof], 1);
    let mut answer = String::new();
    peer.read_to_string(&mut answer)?;
    assert_eq!(answer, "bye");
    drop(shared);
    Ok(())
}

pub(crate) fn a_client_that_is_gone_is_an_unknown_endpoint() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (served, _) = listener.accept()?;
    // With a reset, after which the system has no peer address.
    sockopt::set_socket_linger(&client, Some(Duration::ZERO))?;
    drop(client);
    let mut listeners = Listeners::try_from(OwnedFd::from(served))?;
    let mut connection = block_on(listeners.accept())?.expect("the connection");
    assert_eq!(connection.peer.endpoint(), Endpoint::Unknown);
    assert!(block_on(connection.reader.read(&mut [0])).is_err());
    Ok(())
}

pub(crate) fn without_a_service_manager_there_are_no_sockets_to_listen_on() {
    LazyLock::force(&INHERITED);
    let error = block_on(bind("sd-listen")).expect_err("nothing was handed over");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let line = error.to_string();
    assert!(
        line.starts_with("cannot listen on sd-listen: no sockets"),
        "{line}"
    );
    let error = block_on(connect("sd-listen:web")).expect_err("that is for listening");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

pub(crate) fn a_refusal_ends_a_shared_connection() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    client.set_read_timeout(Some(TIMEOUT))?;
    let (served, _) = listener.accept()?;
    let shared = served.try_clone()?;
    let rules = Rules::default().deny("127.0.0.0/8".parse().map_err(io::Error::other)?);
    let server = Server::default().rules(rules);
    let ex = Executor::new();
    let listeners = Listeners::try_from(OwnedFd::from(served))?;
    let handler = async |_: Connection| panic!("it is refused");
    let report = ex.block_on(server.serve(&ex, listeners, handler))?;
    assert_eq!(report.stats.ended[Reason::Denied], 1);
    assert_eq!(client.read(&mut [0])?, 0);
    drop(shared);
    Ok(())
}

pub(crate) fn a_close_reaches_the_peer_of_a_shared_connection_dropped_at_once() -> io::Result<()> {
    let (ours, mut peer) = pair()?;
    let shared = ours.try_clone()?;
    Executor::new().block_on(async {
        let mut listeners = Listeners::try_from(OwnedFd::from(ours))?;
        let mut connection = listeners.accept().await?.expect("the connection");
        connection.writer.write_all(b"bye").await?;
        connection.writer.close().await
    })?;
    let mut received = String::new();
    peer.read_to_string(&mut received)?;
    assert_eq!(received, "bye");
    drop(shared);
    Ok(())
}
