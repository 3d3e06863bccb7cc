//! Frames at, below and above the limit; large frames; the cost of a frame that has begun.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::future::{block_on, poll_once};
use futures_lite::io::{Cursor, sink};
use futures_lite::{AsyncBufReadExt, AsyncRead, AsyncReadExt, StreamExt};
use halves::framing::{FrameError, Framing, Length};
use halves::{Connection, Reader};

use crate::support::pieces::Pieces;

const LIMIT: usize = 64 * 1024;

fn reader(bytes: impl Into<Vec<u8>>) -> Reader<Cursor<Vec<u8>>> {
    Connection::new(Cursor::new(bytes.into()), sink()).reader
}

fn line_of(size: usize) -> Vec<u8> {
    let mut line = vec![b'a'; size];
    line.push(b'\n');
    line
}

#[test]
fn a_line_may_have_64_kib_before_its_end() {
    for size in [0, 1, LIMIT - 1, LIMIT] {
        let line = line_of(size);
        let got = block_on(reader(line.clone()).line());
        assert_eq!(got.expect("not too long"), Some(line));
    }
    let mut reader = reader([line_of(LIMIT + 1), b"next\n".into()].concat());
    for _ in 0..2 {
        let error = block_on(reader.line()).expect_err("one too many");
        assert!(
            matches!(
                error,
                FrameError::TooLong {
                    consumed: 65_537,
                    expected: None,
                    limit: LIMIT
                }
            ),
            "{error:?}"
        );
    }
    reader.consume(LIMIT + 1);
    assert_eq!(
        block_on(reader.line()).expect("its end"),
        Some(b"\n".into())
    );
    let next = block_on(reader.line()).expect("the next");
    assert_eq!(next, Some(b"next\n".into()));
}

#[test]
fn a_frame_that_is_too_long_is_not_read_to_its_end() {
    let endless = futures_lite::io::repeat(b'a');
    let mut reader = Connection::new(endless, sink()).reader;
    let error = block_on(reader.line()).expect_err("no line");
    assert!(matches!(error, FrameError::TooLong { .. }), "{error:?}");
    assert!(reader.peer().bytes_in() <= 2 * LIMIT as u64);
    let mut all = vec![0; 3 * LIMIT];
    block_on(reader.read_exact(&mut all)).expect("it is still there");
}

#[test]
fn a_length_may_be_the_limit() {
    for size in [0, 1, LIMIT - 1, LIMIT] {
        let length = u32::try_from(size).expect("small");
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.resize(4 + size, b'a');
        let got = block_on(reader(bytes.clone()).frame(Length::U32Le));
        assert_eq!(got.expect("not too long").as_deref(), Some(&bytes[4..]));
        let got = block_on(reader(&bytes[4..]).exactly(size));
        assert_eq!(got.expect("not too long"), bytes[4..]);
    }
    let mut above = reader(b"\x00\x01\x00\x01".to_vec());
    let error = block_on(above.frame(Length::U32Be)).expect_err("one too many");
    assert_eq!(
        error.to_string(),
        "a frame of 65537 bytes: the limit is 65536"
    );
    let error = block_on(above.exactly(LIMIT + 1)).expect_err("one too many");
    assert!(matches!(error, FrameError::TooLong { consumed: 0, .. }));
    let mut all = Vec::new();
    block_on(above.read_to_end(&mut all)).expect("no errors");
    assert_eq!(all, b"\x00\x01\x00\x01");
}

#[test]
fn a_higher_limit_allows_frames_longer_than_any_buffer() {
    for size in [LIMIT, LIMIT + 1, 1_000_000] {
        let line = line_of(size);
        let mut reader = reader([&*line, b"tail\n"].concat());
        reader.set_frame_limit(size);
        assert_eq!(block_on(reader.line()).expect("a line"), Some(line));
        // Longer than the buffer of a read, as the tail came with the line.
        let rest = block_on(reader.read_chunk()).expect("the rest");
        assert_eq!(&*rest, b"tail\n");
    }
}

#[test]
fn a_long_frame_in_small_pieces_is_whole() {
    let line = line_of(200_000);
    let pieces = line.chunks(777).flat_map(|piece| [piece.to_vec(), vec![]]);
    let mut reader = Connection::new(Pieces(pieces.collect()), sink()).reader;
    reader.set_frame_limit(line.len());
    let got = block_on(async {
        loop {
            // Cancelled at each wait.
            if let Some(got) = poll_once(reader.line()).await {
                return got;
            }
        }
    });
    assert_eq!(got.expect("a line"), Some(line));
}

/// Always ready, with few bytes at a time.
struct Flood;

impl AsyncRead for Flood {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let size = buf.len().min(4096);
        buf[..size].fill(b'a');
        Poll::Ready(Ok(size))
    }
}

#[test]
fn a_frame_that_never_ends_shares_the_thread() {
    let mut reader = Connection::new(Flood, sink()).reader;
    reader.set_frame_limit(usize::MAX / 2);
    for turn in 1..10 {
        let line = block_on(poll_once(reader.line()));
        assert!(line.is_none(), "the others are to run");
        let came = reader.peer().bytes_in();
        assert!(came <= turn * 2 * 64 * 1024, "{came} in {turn} turns");
    }
}

#[test]
fn many_small_frames_share_the_thread() {
    let mut reader = reader(b"\n".repeat(1000));
    let mut lines = 0;
    while block_on(poll_once(reader.line())).is_some() {
        lines += 1;
    }
    assert!((1..100).contains(&lines), "{lines} in one turn");
}

#[test]
fn a_stream_of_frames_ends_at_an_error_and_the_reader_goes_on() {
    let mut reader = reader(b"\x03one\x05toolong".to_vec());
    reader.set_frame_limit(4);
    let mut frames = reader.frames(Length::U8);
    let first = block_on(frames.next()).expect("a frame");
    assert_eq!(first.expect("a frame"), b"one");
    let second = block_on(frames.next()).expect("an error");
    second.expect_err("too long");
    assert!(block_on(frames.next()).is_none(), "it has ended");
    reader.consume(1);
    let rest = block_on(reader.frames(Framing::Exactly(4)).next());
    assert_eq!(rest.expect("a frame").expect("four bytes"), b"tool");
    let rest = block_on(reader.frames(Framing::Exactly(3)).next());
    assert_eq!(rest.expect("a frame").expect("three bytes"), b"ong");
    assert!(block_on(reader.frames(Framing::Exactly(3)).next()).is_none());
}

/// Fails once, and then goes on.
struct Hiccup(&'static [u8], u8);

impl AsyncRead for Hiccup {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.1 += 1;
        if self.1 == 2 {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let size = self.0.len().min(buf.len()).min(5);
        buf[..size].copy_from_slice(&self.0[..size]);
        self.0 = &self.0[size..];
        Poll::Ready(Ok(size))
    }
}

#[test]
fn an_error_of_the_stream_is_passed_on_and_the_input_is_left() {
    let mut reader = Connection::new(Hiccup(b"half a line\n", 0), sink()).reader;
    let error = block_on(reader.line()).expect_err("it fails");
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::TimedOut);
    let line = block_on(reader.line()).expect("it goes on");
    assert_eq!(line.as_deref(), Some(&b"half a line\n"[..]));
}

#[test]
#[should_panic(expected = "no separator")]
fn no_separators_are_a_mistake() {
    let _ = block_on(reader("").until(&[]));
}

#[test]
#[should_panic(expected = "an empty separator")]
fn an_empty_separator_is_a_mistake() {
    let _ = block_on(reader("").until(&[b"\n", b""]));
}

#[test]
#[should_panic(expected = "0 bytes")]
fn frames_of_no_bytes_are_a_mistake() {
    let _ = reader("").frames(Framing::Exactly(0));
}
