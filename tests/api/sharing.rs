//! Listening sockets that pass from one server to the next, while clients connect.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use futures_lite::future::{block_on, poll_once};
use halves::address::ListenOptions;
use halves::listener::{SharedListeners, SharedSocket, memory, merge};
use halves::proxy_protocol::{ProxyProtocol, Version};
use halves::service::upper;
use halves::{Connection, Executor, Listener, Listeners, Once, Server, Shutdown, bind};
use rustix::net::sockopt;

use crate::support::place;

/// Listens on an address of each kind.
fn each_kind() -> (tempfile::TempDir, [Listeners; 3]) {
    let dir = place::dir();
    let path = dir.path().join("socket").display().to_string();
    let addresses = ["127.0.0.1:0".to_owned(), format!("@shared-{path}"), path];
    let listeners = addresses.map(|address| block_on(bind(address.as_str())).expect("it is free"));
    (dir, listeners)
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// Connects to the address of a listener, as it is printed.
fn connect(at: &str) -> std::io::Result<Box<dyn Stream>> {
    Ok(if let Some(path) = at.strip_prefix("unix:") {
        Box::new(UnixStream::connect(path)?)
    } else if let Some(name) = at.strip_prefix('@') {
        let name = UnixAddr::from_abstract_name(name)?;
        Box::new(UnixStream::connect_addr(&name)?)
    } else {
        Box::new(TcpStream::connect(at)?)
    })
}

/// Takes over duplicates, as the next process does.
fn taken_over(shared: &SharedListeners) -> Listeners {
    let sockets = shared.sockets().expect("they listen").into_iter();
    sockets.fold(Listeners::default(), |all, socket| {
        let taken = Listeners::try_from(socket.fd).expect("it listens");
        all.and(taken.own().expect("the file is found"))
    })
}

fn address(listeners: &Listeners) -> String {
    listeners.local_addrs()[0].to_string()
}

/// A connection that waits is left to the next process, and clients are not refused meanwhile.
#[test]
fn a_client_in_the_backlog_of_disowned_listeners_is_accepted_by_the_next_owner() {
    let (_dir, all) = each_kind();
    for mut first in all {
        let (shared, at) = (first.share(), address(&first));
        let mut client = connect(&at).expect("it listens");
        let mut second = taken_over(&shared);
        shared.disown().expect("it is not stopped");
        let none = block_on(first.accept()).expect("no error");
        assert!(none.is_none(), "{at}: the client is left alone");
        first.stop();
        drop(first);
        let mut later = connect(&at).expect("it still listens");
        for client in [&mut client, &mut later] {
            let accepted = block_on(poll_once(second.accept())).expect("it waits");
            let accepted = accepted.expect("no error").expect("a connection");
            block_on(upper_once(accepted)).expect("no reset");
            let mut answer = [0; 5];
            client.read_exact(&mut answer).expect("no reset");
            assert_eq!(&answer, b"HELLO");
        }
        drop(second);
        let refused = connect(&at).err().map(|error| error.kind());
        let kind = if at.starts_with("unix:") {
            ErrorKind::NotFound
        } else {
            ErrorKind::ConnectionRefused
        };
        assert_eq!(refused, Some(kind), "{at}: its end is that of the socket");
    }
}

async fn upper_once(mut connection: Connection) -> std::io::Result<()> {
    use futures_lite::AsyncWriteExt;
    connection.writer.write_all(b"HELLO").await
}

#[test]
fn a_server_that_waits_for_clients_ends_when_its_listeners_are_disowned() {
    let (_dir, all) = each_kind();
    for listeners in all {
        let shared = listeners.share();
        let _second = taken_over(&shared);
        let ex = Executor::new();
        let handler = async |c: Connection| upper(c.reader, c.writer).await;
        let serving = ex.spawn(Server::default().serve(ex.clone(), listeners, handler));
        let report = ex.block_on(async {
            for _ in 0..10 {
                futures_lite::future::yield_now().await;
            }
            shared.disown().expect("it is not stopped");
            serving.await.expect("no error of accept")
        });
        assert_eq!(report.stats.accepted, 0);
    }
}

/// The kernel does not reset a connection that is open.
#[test]
fn an_open_connection_outlives_the_disowned_listeners() {
    let mut first = block_on(bind("127.0.0.1:0")).expect("a free port");
    let (shared, at) = (first.share(), address(&first));
    let mut client = connect(&at).expect("it listens");
    let connection = block_on(first.accept()).expect("no error");
    let _second = taken_over(&shared);
    shared.disown().expect("it is not stopped");
    drop(first);
    block_on(upper_once(connection.expect("a connection"))).expect("no reset");
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).expect("no reset");
    assert_eq!(answer, b"HELLO");
}

#[test]
fn the_file_of_a_socket_stays_until_its_last_owner_ends() {
    let dir = place::dir();
    let path = dir.path().join("socket");
    let first = block_on(bind(&*path)).expect("it is free");
    let id = || fs::metadata(&path).map(|file| file.ino()).ok();
    let made = id();
    let shared = first.share();
    let mut second = taken_over(&shared);
    shared.disown().expect("it is not stopped");
    drop(first);
    assert!(block_on(poll_once(second.accept())).is_none());
    assert_eq!(id(), made);
    let other = block_on(bind(&*path)).expect_err("a server listens");
    assert_eq!(other.kind(), ErrorKind::AddrInUse);
    drop(second);
    assert_eq!(fs::read_dir(&dir).expect("a directory").count(), 0);
}

/// The process before it may go on.
#[test]
fn the_file_stays_if_a_new_owner_is_dropped_before_its_first_accept() {
    let dir = place::dir();
    let path = dir.path().join("socket");
    let mut first = block_on(bind(&*path)).expect("it is free");
    drop(taken_over(&first.share()));
    UnixStream::connect(&path).expect("it listens");
    assert!(block_on(first.accept()).expect("no error").is_some());
    // One that is stopped is a server that has ended.
    taken_over(&first.share()).stop();
    assert!(!path.exists());
}

#[test]
fn a_file_that_has_replaced_that_of_a_socket_has_no_owner() {
    let dir = place::dir();
    let path = dir.path().join("socket");
    let listeners = block_on(bind(&*path)).expect("it is free");
    let is_owned = || listeners.share().sockets().expect("it listens")[0].is_owned;
    assert!(is_owned());
    fs::remove_file(&path).expect("it is there");
    assert!(!is_owned());
    let other = UnixListener::bind(&path).expect("it is free");
    assert!(!is_owned());
    drop(listeners);
    drop(other);
    assert!(path.exists());
}

#[test]
fn a_handle_keeps_no_socket_open() {
    let (_dir, all) = each_kind();
    for listeners in all {
        let (shared, at) = (listeners.share(), address(&listeners));
        drop(shared.sockets().expect("it listens"));
        drop(listeners);
        assert!(connect(&at).is_err(), "{at} is closed");
        for ended in [shared.sockets().map(drop), shared.disown()] {
            let error = ended.expect_err("they have ended");
            assert_eq!(error.kind(), ErrorKind::NotConnected);
        }
    }
}

/// All or none, so that no address is without a listener in both processes.
#[test]
fn a_listener_that_is_stopped_is_not_shared_any_more() {
    let any = || block_on(bind("127.0.0.1:0")).expect("a free port");
    let mut stopped = any();
    let of_stopped = stopped.share();
    stopped.stop();
    let of_both = any().and(stopped);
    for shared in [of_stopped, of_both.share()] {
        for error in [shared.sockets().map(drop), shared.disown()] {
            let error = error.expect_err("it is stopped");
            assert_eq!(error.kind(), ErrorKind::NotConnected);
        }
    }
    let at = address(&of_both);
    let client = connect(&at).expect("it listens");
    let mut of_both = of_both;
    let accepted = block_on(of_both.accept()).expect("no error");
    assert!(accepted.is_some(), "it is not disowned");
    drop(client);
}

#[test]
fn sockets_are_listed_and_other_listeners_are_not() {
    let (in_memory, _connector) = memory::listener(64);
    let theirs = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let theirs = Listeners::try_from(OwnedFd::from(theirs)).expect("it listens");
    let once = Once::new(Connection::new(&b""[..], vec![]));
    let ours = block_on(bind("127.0.0.1:0")).expect("a free port");
    let all = Listeners::from(in_memory).and(theirs).and(once).and(ours);
    let addresses = all.local_addrs();
    let sockets = all.share().sockets().expect("they listen");
    let listed = |socket: &SharedSocket| (socket.index, socket.is_owned);
    let listed: Vec<_> = sockets.iter().map(listed).collect();
    assert_eq!(listed, [(1, false), (3, true)]);
    for socket in &sockets {
        assert_eq!(socket.local, addresses[socket.index]);
    }
}

/// Only then may the process that has shut it down have had the right to.
#[test]
fn listeners_that_were_taken_over_refuse_clients_only_as_owned_ones() {
    for owns in [true, false] {
        let theirs = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = theirs.local_addr().expect("an address");
        let ours = OwnedFd::from(theirs.try_clone().expect("a descriptor"));
        let mut ours = Listeners::try_from(ours).expect("it listens");
        if owns {
            ours = ours.own().expect("the options can be set");
        }
        ours.stop();
        assert_eq!(TcpStream::connect(at).is_err(), owns);
    }
}

/// The kernel copies the options of a listening socket to each connection.
#[test]
fn connections_of_a_socket_that_was_taken_over_have_its_options() {
    let first = block_on(bind("127.0.0.1:0,keepalive=77,nagle")).expect("a free port");
    let options = |text: &str| {
        let address: halves::Address = format!("127.0.0.1:0{text}").parse().expect(text);
        match address {
            halves::Address::Tcp { options, .. } => options,
            _ => panic!("{text} is for TCP"),
        }
    };
    for (text, keepalive, nodelay) in [
        (",keepalive=77,nagle", Some(77), false),
        (",keepalive=88", Some(88), true),
        ("", None, true),
    ] {
        let at = address(&first);
        let socket = first.share().sockets().expect("it listens").remove(0);
        let next = Listeners::from_socket(socket.fd, &options(text)).expect("it listens");
        let mut next = next.own().expect("it has no file");
        assert!(block_on(poll_once(next.accept())).is_none());
        let client = connect(&at).expect("it listens");
        let accepted = block_on(next.accept()).expect("no error");
        let socket = block_on(accepted.expect("a connection").into_socket());
        let (socket, _) = socket.expect("it is a socket");
        let is_on = sockopt::socket_keepalive(&socket).expect("TCP");
        let time = sockopt::tcp_keepidle(&socket).expect("TCP").as_secs();
        assert_eq!(is_on.then_some(time), keepalive, "{text}");
        assert_eq!(sockopt::tcp_nodelay(&socket).expect("TCP"), nodelay);
        drop((client, next));
    }
}

/// The process before it may go on.
#[test]
fn a_new_owner_sets_no_options_before_its_first_accept() {
    let mut first = block_on(bind("127.0.0.1:0,keepalive=77")).expect("a free port");
    drop(taken_over(&first.share()));
    let _client = connect(&address(&first)).expect("it listens");
    let accepted = block_on(first.accept()).expect("no error");
    let socket = block_on(accepted.expect("a connection").into_socket());
    let (socket, _) = socket.expect("it is a socket");
    assert!(sockopt::socket_keepalive(&socket).expect("TCP"));
}

#[test]
fn a_handle_reaches_listeners_that_are_wrapped() {
    let any = || block_on(bind("127.0.0.1:0")).expect("a free port");
    let trusted = ProxyProtocol::new(Version::Any).trust("127.0.0.1".parse().expect("a network"));
    let listeners = any();
    let shared = listeners.share();
    let mut wrapped = trusted.listen(listeners);
    shared.disown().expect("it is not stopped");
    assert!(block_on(wrapped.accept()).expect("no error").is_none());
    let (one, other) = (any(), any());
    let both = [one.share(), other.share()];
    let mut merged = merge(one, other);
    for shared in both {
        shared.disown().expect("it is not stopped");
    }
    assert!(block_on(merged.accept()).expect("no error").is_none());
}

#[test]
fn options_other_than_the_default_are_for_tcp() {
    let (_dir, [_, named, _]) = each_kind();
    let socket = named.share().sockets().expect("it listens").remove(0);
    let options = ListenOptions::default().nagle(true);
    let error = Listeners::from_socket(socket.fd, &options).expect_err("it is a Unix socket");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// The number of servers, one after another.
const SERVERS: usize = 12;
/// The number of threads that connect.
const CLIENTS: usize = 3;

/// Asks until told to stop. Returns the number of answers.
fn ask_until(stop: &AtomicBool, at: &str, asked: &AtomicUsize) -> usize {
    let mut answers = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut client = connect(at).expect("never refused");
        client.write_all(b"hello\n").expect("never reset");
        let mut answer = [0; 6];
        client.read_exact(&mut answer).expect("never reset");
        assert_eq!(&answer, b"HELLO\n");
        answers += 1;
        asked.fetch_add(1, Ordering::Relaxed);
    }
    answers
}

/// Runs the next server on a thread of its own. Returns its switch, and its number of connections.
fn serve(listeners: Listeners) -> (Shutdown, thread::JoinHandle<u64>) {
    let shutdown = Shutdown::default();
    let server = Server::default().shutdown(shutdown.clone());
    let thread = thread::spawn(move || {
        let ex = Executor::new();
        let handler = async |c: Connection| upper(c.reader, c.writer).await;
        let report = ex.block_on(server.serve(&ex, listeners, handler));
        report.expect("no error of accept").stats.accepted
    });
    (shutdown, thread)
}

/// Each new server has answered a client before the next one comes.
#[test]
fn no_client_is_refused_or_reset_while_servers_follow_each_other() {
    let (_dir, all) = each_kind();
    for listeners in all {
        let at = &*address(&listeners);
        let (stop, asked) = (&AtomicBool::new(false), &AtomicUsize::new(0));
        thread::scope(|scope| {
            let clients = [(); CLIENTS].map(|()| scope.spawn(|| ask_until(stop, at, asked)));
            let mut shared = listeners.share();
            let mut server = serve(listeners);
            let mut accepted = 0;
            for _ in 1..SERVERS {
                let next = taken_over(&shared);
                let next_shared = next.share();
                let next_server = serve(next);
                shared.disown().expect("it is not stopped");
                server.0.drain();
                accepted += server.1.join().expect("no panic");
                (shared, server) = (next_shared, next_server);
                let before = asked.load(Ordering::Relaxed);
                let ended = || clients.iter().any(thread::ScopedJoinHandle::is_finished);
                while asked.load(Ordering::Relaxed) == before && !ended() {
                    thread::yield_now();
                }
            }
            stop.store(true, Ordering::Relaxed);
            let answers = clients.map(|client| client.join().expect("never refused"));
            server.0.drain();
            accepted += server.1.join().expect("no panic");
            let answers: usize = answers.iter().sum();
            assert_eq!(u64::try_from(answers), Ok(accepted), "{at}");
        });
    }
}
