//! Restarts while clients connect all the time: none is refused, reset, or cut.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};

use futures_lite::AsyncReadExt;
use halves::ConnectOptions;
use halves::tls::{ClientSettings, Connector};

use super::{Generations, Program, text};
use crate::common::TIMEOUT;
use crate::tls::Files;

/// Restarts in a row.
const RESTARTS: usize = 4;
/// Threads that connect.
const CLIENTS: usize = 3;
/// The bytes of a client: several reads of the server.
const BYTES: usize = 100_000;

/// Sends bytes and the end, and compares the answer.
fn ask(mut stream: impl Read + Write, end: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let request = vec![b'x'; BYTES];
    // The socket buffers take less than the request and the answer, so the server reads on.
    let mut answer = vec![0; BYTES];
    for (request, answer) in request.chunks(10_000).zip(answer.chunks_mut(10_000)) {
        stream.write_all(request)?;
        stream.read_exact(answer)?;
    }
    end()?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest)?;
    assert!(answer.iter().all(|byte| *byte == b'X') && rest.is_empty());
    Ok(())
}

fn ask_tcp(at: SocketAddr) -> io::Result<()> {
    let stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let end = stream.try_clone()?;
    ask(stream, || end.shutdown(Shutdown::Write))
}

fn ask_unix(path: &Path) -> io::Result<()> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let end = stream.try_clone()?;
    ask(stream, || end.shutdown(Shutdown::Write))
}

fn ask_tls(at: SocketAddr, connector: &Connector) -> io::Result<()> {
    smol::block_on(async {
        let options = ConnectOptions::new().tls(connector.clone());
        let address = format!("localhost:{}", at.port());
        let connection = options.connect(address.as_str()).await?;
        let (mut reader, mut writer) = (connection.reader, connection.writer.buffered());
        writer.write(b"hello")?;
        writer.write_eof().await?;
        let mut answer = Vec::new();
        reader.read_to_end(&mut answer).await?;
        assert_eq!(answer, b"HELLO");
        Ok(())
    })
}

/// Restarts while `ask` is called by several threads, until each process has served some.
fn under_load(server: &mut Generations, ask: impl Fn() -> io::Result<()> + Sync) {
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let client = || {
        while !stop.load(Ordering::Relaxed) {
            ask().expect("never refused, reset or cut");
            asked.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        let clients = [(); CLIENTS].map(|()| scope.spawn(client));
        let some_more = || {
            let before = asked.load(Ordering::Relaxed);
            let failed = || clients.iter().any(ScopedJoinHandle::is_finished);
            while asked.load(Ordering::Relaxed) < before + 2 * CLIENTS && !failed() {
                thread::yield_now();
            }
        };
        for _ in 0..RESTARTS {
            some_more();
            server.restart();
        }
        some_more();
        stop.store(true, Ordering::Relaxed);
    });
    server.end();
    assert_eq!(server.first.count("restarted "), RESTARTS);
    assert_eq!(server.first.count("ended "), RESTARTS + 1);
    let failed = server
        .first
        .log
        .iter()
        .find(|line| line.contains("reason=error"));
    assert_eq!(failed, None);
}

#[test]
fn no_tcp_client_is_refused_or_cut() {
    for threads in ["1", "2"] {
        let program = Program::new();
        let args = [
            "serve",
            "upper",
            "--listen",
            "127.0.0.1:0",
            "--threads",
            threads,
        ];
        let mut server = Generations::start(&mut program.command(&args), 1);
        let at = server.first.at[0];
        under_load(&mut server, || ask_tcp(at));
    }
}

#[test]
fn no_unix_client_is_refused_or_cut_and_the_file_stays() {
    let program = Program::new();
    let path = program.socket();
    let args = ["serve", "upper", "--listen", text(&path)];
    let mut server = Generations::start(&mut program.command(&args), 0);
    server.first.wait_for_local();
    let file = || fs::metadata(&path).expect("it is always there").ino();
    let before = file();
    under_load(&mut server, || {
        assert_eq!(file(), before);
        ask_unix(&path)
    });
    assert!(!path.exists());
}

#[test]
fn no_tls_client_is_refused_or_cut() {
    let files = Files::new();
    let options = files.options("server", &["localhost"]);
    let args = ["serve", "upper", "--listen", "127.0.0.1:0"];
    let args = [&args[..], &options.each_ref().map(String::as_str)].concat();
    let program = Program::new();
    let mut server = Generations::start(&mut program.command(&args), 1);
    let at = server.first.at[0];
    let connector = ClientSettings::new().ca(files.ca()).load().expect("a CA");
    under_load(&mut server, || ask_tls(at, &connector));
}
