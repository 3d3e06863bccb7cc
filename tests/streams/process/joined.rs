//! The standard streams of a child as halves.

use std::io::{self, Read, Write};
use std::net::{self, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;

use futures_lite::io::copy;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::files;
use halves::process::Command;
use halves::{Connection, Endpoint, Executor, Server, Shutdown, bind};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::process::sh;
use crate::support::conformance;

/// A child that copies its input to a FIFO, and another FIFO to its output; and the other ends of
/// both.
pub(crate) async fn relayed(
    dir: &Path,
    plugged: impl Fn(Command) -> Command,
) -> io::Result<(Connection, Connection)> {
    let dir = tempfile::tempdir_in(dir)?.keep();
    let [there, back] = ["there", "back"].map(|name| dir.join(name));
    for path in [&there, &back] {
        mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
    }
    let text = |path: &PathBuf| path.to_str().expect("text").to_owned();
    let relay = "cat \"$0\" & exec > \"$1\"; echo; exec cat";
    let command = sh(relay, &[&text(&back), &text(&there)]);
    let (near, _child) = plugged(command).connect()?;
    let mut far = files(&there, &back).await?;
    // Until then, a child that is killed has never opened the FIFO of the reader.
    far.reader.read_exact(&mut [0]).await?;
    Ok((near, far))
}

/// Runs a test with the reactor of an executor of ours, and without.
pub(crate) fn on_both(test: impl AsyncFn()) {
    Executor::new().block_on(test());
    smol::block_on(test());
}

#[test]
fn a_child_on_pipes_conforms() {
    on_both(async || {
        let dir = tempfile::tempdir().expect("a directory");
        let connect = async || relayed(dir.path(), |command| command).await;
        conformance::check(conformance::LARGE_TRANSFER_BYTES, connect).await;
    });
}

/// A program that does not use sockets cannot end one direction of one.
#[test]
fn a_child_on_a_socket_conforms_as_far_as_it_can() {
    on_both(async || {
        let dir = tempfile::tempdir().expect("a directory");
        let connect = async || relayed(dir.path(), Command::socketpair).await;
        conformance::check_without_half_close(conformance::LARGE_TRANSFER_BYTES, connect).await;
    });
}

/// The client sends everything; the answer comes late, and is larger than all buffers on the way.
#[test]
fn a_late_answer_is_whole() {
    let ex = Executor::new();
    let handler = async |mut client: Connection| {
        let script = "n=$(wc -c); sleep 1.2; head -c 300000 /dev/zero; echo $n";
        let (mut io, child) = sh(script, &[]).connect()?;
        let there = async {
            copy(&mut client.reader, &mut io.writer).await?;
            io.writer.close().await
        };
        let back = copy(&mut io.reader, &mut client.writer);
        future::try_zip(there, back).await?;
        child.wait().await.map(drop)
    };
    let shutdown = Shutdown::default();
    let server = Server::default().shutdown(shutdown.clone());
    let listeners = ex.block_on(bind("127.0.0.1:0")).expect("bound");
    let address = listeners.local_addrs()[0].socket_addr().expect("it is TCP");
    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"hello")?;
        stream.shutdown(net::Shutdown::Write)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        shutdown.drain();
        io::Result::Ok(answer)
    });
    let report = ex.block_on(server.serve(&ex, listeners, handler));
    let report = report.expect("it serves");
    assert_eq!(report.aborted, 0);
    let answer = client.join().expect("no panic").expect("an answer");
    let (zeros, last) = answer.split_at(300_000);
    assert!(zeros.iter().all(|&byte| byte == 0));
    assert_eq!(String::from_utf8_lossy(last).trim(), "5");
}

#[test]
fn a_child_is_the_peer() {
    smol::block_on(async {
        let (connection, child) = Command::new("cat").connect().expect("it runs");
        let endpoint = Endpoint::Process(child.id());
        assert_eq!(connection.peer.endpoint(), endpoint);
        assert_eq!(endpoint.to_string(), format!("process:{}", child.id()));
    });
}

/// Only the child blocks on its standard error.
#[test]
fn an_unread_standard_error_blocks_the_child_only() {
    let ex = Executor::new();
    ex.block_on(async {
        let mut command = std::process::Command::new("sh");
        let script = "head -c 500000 /dev/zero >&2; echo done";
        command.args(["-c", script]);
        command.stderr(std::process::Stdio::piped());
        let (mut noisy, mut child) = Command::from(command).connect().expect("it runs");
        let mut output = [0; 5];
        let done =
            ex.spawn(async move { noisy.reader.read_exact(&mut output).await.map(|()| output) });

        let (mut calm, _child) = Command::new("cat").connect().expect("it runs");
        calm.writer.write_all(b"hello").await.expect("it reads");
        let mut received = [0; 5];
        calm.reader
            .read_exact(&mut received)
            .await
            .expect("it writes");
        assert!(!done.is_finished(), "there is no room for its noise");

        let mut noise = Vec::new();
        let mut stderr = child.stderr.take().expect("a pipe");
        let read = stderr.read_to_end(&mut noise);
        let (read, done) = future::zip(read, done).await;
        assert_eq!(read.expect("it ends"), 500_000);
        assert_eq!(&done.expect("it is written"), b"done\n");
    });
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    let error = Command::new("/nothing/there").connect();
    assert_eq!(
        error.expect_err("no program").kind(),
        io::ErrorKind::NotFound
    );
}
