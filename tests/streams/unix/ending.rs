//! The end of a connection over a Unix socket, as its client sees it; rules and limits of sources.

use std::future::pending;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::limits::{Rules, Sources};
use halves::{Connection, Executor, Handle, Report, Server};

use crate::unix::{dir, listen};

/// Answers five bytes. Then `stays` waits for ever, and `leave!` returns at once, with unread
/// input.
async fn handler(mut c: Connection) -> io::Result<()> {
    let mut word = [0; 5];
    c.reader.read_exact(&mut word).await?;
    c.writer.write_all(&word.to_ascii_uppercase()).await?;
    match &word {
        b"stays" => pending().await,
        _ => Ok(()),
    }
}

/// Serves until `client` is done, which gets a connection with an answer.
fn serve(
    server: Server,
    word: &str,
    client: impl FnOnce(UnixStream, &Path, &Handle) -> io::Result<()> + Send,
) -> io::Result<Report> {
    let dir = dir();
    let path = dir.path().join("socket");
    let (handle, listeners) = (server.handle(), listen(&path)?);
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            let (handle, path) = (handle, &*path);
            let connection = ask(path, word);
            let result = connection.and_then(|connection| client(connection, path, &handle));
            handle.shutdown().drain();
            result
        });
        let ex = Executor::new();
        let report = ex.block_on(server.serve(&ex, listeners, handler));
        client.join().expect("no panic")?;
        report
    })
}

fn ask(path: &Path, word: &str) -> io::Result<UnixStream> {
    let mut client = UnixStream::connect(path)?;
    client.write_all(word.as_bytes())?;
    let mut answer = [0; 5];
    client.read_exact(&mut answer)?;
    assert_eq!(answer, *word.to_uppercase().as_bytes());
    Ok(client)
}

/// A Unix socket without unread input has no reset.
#[test]
fn a_client_that_is_killed_reads_the_end_and_cannot_write() -> io::Result<()> {
    let report = serve(Server::default(), "stays", |mut client, _, handle| {
        handle.abort_clients();
        assert_eq!(client.read(&mut [0; 8])?, 0);
        let error = client.write(b"more").expect_err("it is not read");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        Ok(())
    })?;
    assert_eq!(report.stats.accepted, 1);
    Ok(())
}

/// The server goes on to read and discard, as a close at once would be a reset.
#[test]
fn a_client_that_still_sends_reads_the_end_in_order() -> io::Result<()> {
    serve(Server::default(), "leave", |mut client, _, _| {
        client.write_all(&[b'x'; 4096])?;
        assert_eq!(client.read(&mut [0; 8])?, 0);
        client.shutdown(Shutdown::Write)?;
        assert_eq!(client.read(&mut [0; 8])?, 0);
        Ok(())
    })?;
    Ok(())
}

#[test]
fn rules_and_limits_of_sources_apply_to_peers_with_an_address() -> io::Result<()> {
    let rules = Rules::default().deny("0.0.0.0/0".parse().map_err(io::Error::other)?);
    let rules = rules.deny("::/0".parse().map_err(io::Error::other)?);
    let server = Server::default()
        .rules(rules)
        .sources(Sources::default().max_connections(1).accept_rate(1));
    let report = serve(server, "stays", |_client, path, handle| {
        let more = [ask(path, "stays")?, ask(path, "stays")?];
        handle.abort_clients();
        drop(more);
        Ok(())
    })?;
    assert_eq!(report.stats.accepted, 3);
    Ok(())
}
