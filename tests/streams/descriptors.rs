//! Pipes, FIFOs, terminals, devices and files as halves.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::descriptor::{FdReader, FdWriter};
use halves::listener::{device, fifos, files};
use halves::testing::pattern;
use halves::{Connection, Event, Executor, Once, Reason, Server};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::termios::{OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
use smol::LocalExecutor;

use crate::support::conformance;
use crate::support::fifo::fifo;
use crate::support::place;
use crate::support::terminal::terminal;

type Halves = Connection<FdReader, FdWriter>;

/// On this library's executor, with its reactor, and on smol.
fn on_both(test: impl AsyncFn()) {
    Executor::new().block_on(test());
    smol::block_on(test());
}

fn over(near: impl Into<OwnedFd>, far: impl Into<OwnedFd>) -> io::Result<(Halves, Halves)> {
    let ends = [near.into(), far.into()].map(|end| {
        let writer = FdWriter::new(end.try_clone()?)?;
        Ok(Connection::new(FdReader::new(end)?, writer))
    });
    let [near, far]: [io::Result<Halves>; 2] = ends;
    Ok((near?, far?))
}

#[test]
fn pipes_conform() {
    on_both(conformance::check_pipes);
}

#[test]
fn a_socket_that_is_only_a_descriptor_conforms() {
    on_both(async || {
        conformance::check(conformance::LARGE_TRANSFER_BYTES, async || {
            let (near, far) = UnixStream::pair()?;
            over(near, far)
        })
        .await;
    });
}

/// A peer that is gone cannot receive an end, whichever half ends the stream.
#[test]
fn ending_a_stream_that_was_reset_is_no_error() {
    on_both(async || {
        for erased in [false, true] {
            let mut writer = reset().expect("two sockets").1;
            if !erased {
                writer.close().await.expect("no peer is there");
                continue;
            }
            let connection = reset().expect("two sockets");
            let connection = Connection::new(connection.0, connection.1).erase();
            let failed = Arc::new(AtomicBool::new(false));
            let seen = failed.clone();
            let server = Server::default().on_event(move |event| {
                if let Event::Closed(closed) = event {
                    seen.store(closed.error.is_some(), Ordering::Release);
                }
            });
            let ex = LocalExecutor::new();
            // It reads the reset, and ignores it.
            let handler = async |mut c: Connection| {
                let _ = c.reader.read(&mut [0]).await;
                Ok(())
            };
            let serving = server.serve(&ex, Once::new(connection), handler);
            let report = ex.run(serving).await.expect("it serves");
            assert_eq!(report.finished, 1);
            assert_eq!(report.stats.ended[Reason::Error], 0);
            assert!(!failed.load(Ordering::Acquire));
        }
    });
}

/// The halves of a connection that its client has reset.
fn reset() -> io::Result<(FdReader, FdWriter)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (socket, _) = listener.accept()?;
    sockopt::set_socket_linger(&client, Some(Duration::ZERO))?;
    drop(client);
    let writer = FdWriter::new(socket.try_clone()?)?;
    Ok((FdReader::new(socket)?, writer))
}

#[test]
fn fifos_opened_as_files_conform() {
    on_both(async || {
        conformance::check(conformance::LARGE_TRANSFER_BYTES, async || {
            let dir = place::dir();
            let (there, back) = (fifo(dir.path(), "there"), fifo(dir.path(), "back"));
            // Each waits, in order to write, until the other can read.
            future::try_zip(files(&back, &there), files(&there, &back)).await
        })
        .await;
    });
}

/// Both ends hold both FIFOs open.
#[test]
fn fifos_that_last_conform_as_far_as_they_can() {
    on_both(async || {
        conformance::check_without_end(conformance::LARGE_TRANSFER_BYTES, async || {
            let dir = place::dir();
            let (there, back) = (fifo(dir.path(), "there"), fifo(dir.path(), "back"));
            future::try_zip(fifos(&back, &there), fifos(&there, &back)).await
        })
        .await;
    });
}

#[test]
fn terminals_conform_as_far_as_they_can() {
    on_both(async || {
        conformance::check_without_half_close(conformance::LARGE_TRANSFER_BYTES, async || {
            let (person, program) = terminal()?;
            over(person, program)
        })
        .await;
    });
}

#[test]
fn a_terminal_by_its_name_is_a_device() {
    on_both(async || {
        let (person, program) = terminal().expect("a pseudo-terminal");
        let name = rustix::termios::ttyname(&program, vec![]).expect("it has a name");
        let name = name.to_str().expect("text");
        let mut device = device(name).await.expect("it is there");
        assert_eq!(device.peer.to_string(), name);
        drop(program);

        let mut writer = FdWriter::new(person.try_clone().expect("a copy")).expect("the person");
        let mut reader = FdReader::new(person).expect("the person");
        let mut received = [0; 5];
        writer.write_all(b"hello").await.expect("it reads");
        device
            .reader
            .read_exact(&mut received)
            .await
            .expect("a message");
        device.writer.write_all(&received).await.expect("it reads");
        reader.read_exact(&mut received).await.expect("a message");
        assert_eq!(&received, b"hello");
        drop(device);
        let n = reader.read(&mut received).await;
        assert_eq!(n.expect("a hang-up is an end"), 0);
    });
}

#[test]
fn devices_that_are_always_ready_are_read_and_written() {
    on_both(async || {
        let mut zero = device("/dev/zero").await.expect("it is there");
        let mut received = vec![1; 100_000];
        zero.reader.read_exact(&mut received).await.expect("zeros");
        assert_eq!(received, vec![0; 100_000]);
        let mut null = files("/dev/null", "/dev/null").await.expect("it is there");
        assert_eq!(null.reader.read(&mut received).await.expect("an end"), 0);
        null.writer
            .write_all(&received)
            .await
            .expect("it takes all");
        null.writer.close().await.expect("it takes all");
    });
}

#[test]
fn a_full_device_is_a_lasting_error() {
    on_both(async || {
        let full = files("/dev/null", "/dev/full").await;
        let mut writer = full.expect("it is there").writer;
        writer.write_all(b"a").await.expect("on its way");
        for _ in 0..3 {
            let error = writer.flush().await.expect_err("there is no room");
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
        writer
            .write_all(b"b")
            .await
            .expect_err("nothing may follow");
        writer.close().await.expect_err("it was not written");
        let error = writer.write(b"c").await.expect_err("closed");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_kind_that_was_not_asked_for_is_refused() {
    let dir = place::dir();
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("a file");
    smol::block_on(async {
        for error in [
            device(&file).await.expect_err("a file"),
            fifos("/dev/null", "/dev/null").await.expect_err("a device"),
        ] {
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        // Opening a socket fails with the error of a FIFO without a reader.
        let socket = dir.path().join("socket");
        let _listener = UnixListener::bind(&socket).expect("a socket");
        let error = files("/dev/null", &socket).await.expect_err("a socket");
        assert_eq!(Errno::from_io_error(&error), Some(Errno::NXIO));
        let error = files("nothing/there", "/dev/null").await;
        assert_eq!(error.expect_err("no file").kind(), io::ErrorKind::NotFound);
    });
}

/// Files go one way each: written bytes are in the file once the writer is closed.
#[test]
fn files_are_halves() {
    let dir = place::dir();
    let (request, reply) = (dir.path().join("request"), dir.path().join("reply"));
    on_both(async || {
        for (size, length) in [
            (1, 5_000),
            (7, 50_000),
            (1024, 300_000),
            (65_536, 3_000_000),
        ] {
            let sent = pattern(length);
            std::fs::write(&request, &sent).expect("a file");
            let mut halves = files(&request, &reply).await.expect("both");
            let mut buf = vec![0; size];
            loop {
                match halves.reader.read(&mut buf).await.expect("a file") {
                    0 => break,
                    n => halves.writer.write_all(&buf[..n]).await.expect("a file"),
                }
            }
            halves.writer.close().await.expect("a file");
            let written = std::fs::read(&reply).expect("a file");
            assert!(written == sent, "with buffers of {size}");
        }
    });
}

#[test]
fn accepted_bytes_are_written_when_the_writer_is_dropped() {
    let dir = place::dir();
    let reply = dir.path().join("reply");
    let sent = pattern(3_000_000);
    on_both(async || {
        let mut to_file = files("/dev/null", &reply).await.expect("both").writer;
        to_file.write_all(&sent).await.expect("on its way");
        drop(to_file);
        // At once: a process may exit after this.
        let written = std::fs::read(&reply).expect("a file");
        assert!(written == sent, "{} bytes", written.len());
    });
}

#[test]
fn a_fifo_waits_for_its_first_writer_and_ends_with_its_last() {
    let dir = place::dir();
    let path = fifo(dir.path(), "fifo");
    on_both(async || {
        let mut reader = files(&path, "/dev/null").await.expect("both").reader;
        let mut received = [0; 3];
        let read = future::poll_once(reader.read(&mut received)).await;
        assert!(read.is_none(), "it is not open yet: {read:?}");
        let open = || OpenOptions::new().write(true).open(&path);
        let (mut first, mut second) = (open().expect("read"), open().expect("read"));
        first.write_all(b"one").expect("it is read");
        reader.read_exact(&mut received).await.expect("written");
        drop(first);
        let read = future::poll_once(reader.read(&mut received)).await;
        assert!(read.is_none(), "the second is still there: {read:?}");
        second.write_all(b"two").expect("it is read");
        reader.read_exact(&mut received).await.expect("written");
        assert_eq!(&received, b"two");
        drop(second);
        assert_eq!(reader.read(&mut received).await.expect("an end"), 0);

        // Earlier bytes are all there is once their writer is gone.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let held = rustix::fs::open(&path, flags, Mode::empty()).expect("a FIFO");
        open().expect("read").write_all(b"old").expect("it is read");
        let mut reader = files(&path, "/dev/null").await.expect("both").reader;
        reader.read_exact(&mut received).await.expect("written");
        assert_eq!(reader.read(&mut received).await.expect("an end"), 0);
        drop(held);

        // A writer that opens it and writes nothing counts, too.
        let mut reader = files(&path, "/dev/null").await.expect("both").reader;
        drop(open().expect("read"));
        assert_eq!(reader.read(&mut received).await.expect("an end"), 0);
    });
}

#[test]
fn a_terminal_with_reads_that_do_not_wait_ends_at_its_hangup() {
    on_both(async || {
        for tenths in [0, 1] {
            let (person, program) = terminal().expect("a pseudo-terminal");
            let mut mode = tcgetattr(&program).expect("a mode");
            mode.special_codes[SpecialCodeIndex::VMIN] = 0;
            mode.special_codes[SpecialCodeIndex::VTIME] = tenths;
            tcsetattr(&program, OptionalActions::Now, &mode).expect("set");
            let mut reader = FdReader::new(program).expect("watched");
            let mut received = [0; 8];
            for word in [&b"one"[..], b"three"] {
                let early = future::poll_once(reader.read(&mut received)).await;
                assert!(early.is_none(), "{early:?}");
                rustix::io::write(&person, word).expect("the line is up");
                let n = reader.read(&mut received).await.expect("the line is up");
                assert_eq!(&received[..n], word);
            }
            drop(person);
            assert_eq!(reader.read(&mut received).await.expect("an end"), 0);
        }
    });
}
