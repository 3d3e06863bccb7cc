//! Recorded halves: every result of the halves beneath, and nothing else.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::future::{block_on, poll_once};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use halves::listener::memory;
use halves::testing::{HalvesCheck, Recorder, Recording, check_halves, pieces, record};
use halves::{Clock, Connection, bind, connect};

/// The events of a record of which the times are all 0.
fn events(recording: &Recording) -> Vec<String> {
    let text = recording.record().to_string();
    let events = text
        .lines()
        .filter_map(|line| line.strip_prefix("0.000000 "));
    events.map(ToOwned::to_owned).collect()
}

/// Settings with a clock that stands.
fn standing() -> Recorder {
    Recorder::default().clock(Clock::manual().0)
}

/// A stream of which each call returns the next result.
struct Scripted(std::vec::IntoIter<Poll<io::Result<usize>>>);

fn scripted<const N: usize>(results: [Poll<io::Result<usize>>; N]) -> Scripted {
    Scripted(results.into_iter().collect::<Vec<_>>().into_iter())
}

impl Scripted {
    fn next(&mut self) -> Poll<io::Result<usize>> {
        self.0.next().expect("a result is left")
    }
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        buf.fill(b'r');
        self.next()
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        for (buf, byte) in bufs.iter_mut().zip(b'0'..) {
            buf.fill(byte);
        }
        self.next()
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.next()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.next()
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.next().map_ok(drop)
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.next().map_ok(drop)
    }
}

fn fails<T>(kind: ErrorKind) -> Poll<io::Result<T>> {
    Poll::Ready(Err(kind.into()))
}

#[test]
fn recorded_memory_passes_the_check_of_halves() {
    block_on(HalvesCheck::default().bytes(100_000).check(async || {
        let (near, far) = memory::pair(1000);
        Ok((record(near).0, record(far).0))
    }));
}

#[test]
fn recorded_sockets_pass_the_check_of_halves() {
    block_on(check_halves(async || {
        let mut listeners = bind("127.0.0.1:0").await?;
        let near = connect(listeners.local_addrs()[0].to_string()).await?;
        let far = halves::Listener::accept(&mut listeners)
            .await?
            .expect("a client");
        Ok((record(near).0, record(far).0.erase()))
    }));
}

#[test]
fn reads_are_recorded_as_they_return() {
    let ready = |n| Poll::Ready(Ok(n));
    let reader = scripted([
        Poll::Pending,
        ready(3),
        ready(4),
        ready(0),
        ready(0),
        ready(1),
        ready(0),
        fails(ErrorKind::ConnectionReset),
        fails(ErrorKind::TimedOut),
    ]);
    let (mut connection, recording) = standing().record(Connection::new(reader, io_sink()));
    let reader = &mut connection.reader;
    block_on(async {
        let mut buf = [0; 5];
        // Dropped while it waits.
        assert!(poll_once(reader.read(&mut buf)).await.is_none());
        assert!(events(&recording).is_empty());
        assert_eq!(reader.read(&mut []).await.expect("no read"), 0);
        assert_eq!(reader.read(&mut buf).await.expect("bytes"), 3);
        let (mut one, mut two) = ([0; 1], [0; 5]);
        let mut bufs = [&mut one[..], &mut [], &mut two[..]].map(IoSliceMut::new);
        let read =
            std::future::poll_fn(|cx| Pin::new(&mut *reader).poll_read_vectored(cx, &mut bufs));
        assert_eq!(read.await.expect("bytes"), 4);
        for n in [0, 0, 1] {
            assert_eq!(reader.read(&mut buf).await.expect("bytes"), n);
        }
        let mut bufs = [IoSliceMut::new(&mut one)];
        assert_eq!(reader.read_vectored(&mut bufs).await.expect("an end"), 0);
        for _ in 0..2 {
            reader.read(&mut buf).await.expect_err("a failure");
        }
    });
    let before = [
        "in \"rrr\"",
        "in \"0222\"",
        "in end",
        "in \"r\"",
        "in end",
        "reset",
    ];
    assert_eq!(events(&recording), before);
    drop(connection.reader);
    assert_eq!(events(&recording).len(), before.len());
    drop(connection.writer);
    assert_eq!(
        events(&recording).last().map(String::as_str),
        Some("closed")
    );
}

#[test]
fn writes_are_recorded_as_far_as_they_are_accepted() {
    let ready = |n| Poll::Ready(Ok(n));
    let writer = scripted([
        Poll::Pending,
        ready(2),
        ready(0),
        ready(4),
        ready(0),
        fails(ErrorKind::BrokenPipe),
        ready(1),
        fails(ErrorKind::BrokenPipe),
        fails(ErrorKind::NotConnected),
        ready(0),
        fails(ErrorKind::BrokenPipe),
    ]);
    let connection = Connection::new(futures_lite::io::empty(), writer);
    let (mut connection, recording) = standing().record(connection);
    let writer = &mut connection.writer;
    block_on(async {
        assert!(poll_once(writer.write(b"lost")).await.is_none());
        assert_eq!(writer.write(b"hello").await.expect("bytes"), 2);
        assert_eq!(writer.write(b"hello").await.expect("nothing"), 0);
        let slices = [&b"ab"[..], b"", b"cdef"].map(IoSlice::new);
        assert_eq!(writer.write_vectored(&slices).await.expect("bytes"), 4);
        writer.flush().await.expect("a flush");
        writer.flush().await.expect_err("a failure");
        assert_eq!(writer.write(b"x").await.expect("bytes"), 1);
        writer.write(b"x").await.expect_err("a failure");
        for _ in 0..2 {
            writer.close().await.expect("an end");
        }
        writer.close().await.expect_err("a failure");
    });
    let expected = [
        "out \"he\"",
        "out \"abcd\"",
        "reset",
        "out \"x\"",
        "reset",
        "out end",
    ];
    assert_eq!(events(&recording), expected);
}

fn io_sink() -> futures_lite::io::Sink {
    futures_lite::io::sink()
}

#[test]
fn bytes_that_are_read_ahead_come_first() {
    let input = futures_lite::io::BufReader::new(&b"one\ntwo\n"[..]);
    let mut connection = Connection::new(input, io_sink());
    let line = block_on(connection.reader.line()).expect("a line");
    assert_eq!(line.as_deref(), Some(&b"one\n"[..]));
    let (mut connection, recording) = standing().record(connection);
    assert_eq!(events(&recording), ["in \"two\\n\""]);
    let mut rest = String::new();
    block_on(connection.reader.read_to_string(&mut rest)).expect("text");
    assert_eq!(rest, "two\n");
    assert_eq!(events(&recording), ["in \"two\\n\"", "in end"]);
    assert_eq!(connection.peer.bytes_in(), 8);
}

#[test]
fn times_are_those_of_the_clock_and_never_fall() {
    let (clock, manual) = Clock::manual();
    let (connection, _output) = pieces(["a", "b"]);
    let (mut connection, recording) = Recorder::default().clock(clock).record(connection);
    block_on(async {
        let mut buf = [0; 1];
        connection.reader.read_exact(&mut buf).await?;
        manual.advance(Duration::from_nanos(1_000_999));
        connection.reader.read_exact(&mut buf).await?;
        manual.advance(Duration::from_hours(24));
        connection.writer.close().await
    })
    .expect("no failure");
    let expected = "halves-record 1\n0.000000 in \"a\"\n0.001000 in \"b\"\n86400.001000 out end\n";
    assert_eq!(recording.record().to_string(), expected);
}

#[test]
fn a_record_with_the_clock_of_the_system_has_a_date() {
    let began = record(pieces(["a"]).0).1.record().began.expect("a date");
    let now = std::time::UNIX_EPOCH + halves::time::unix_time();
    assert!(began <= now);
}
