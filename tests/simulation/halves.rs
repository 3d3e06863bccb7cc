//! Halves with a defect each, which the check finds.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};
use halves::Connection;
use halves::connection::{AnyRead, AnyWrite, Reader, Writer};
use halves::listener::memory;
use halves::testing::{Ends, HalvesCheck};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    None,
    /// Drops a byte of each read of three.
    LosesByte,
    SwapsBytes,
    /// A close does nothing.
    HasNoEnd,
    /// Bytes are taken after a close.
    TakesAfterClose,
    /// A write to a peer that is gone is `Ok(0)`.
    TakesNothing,
}

struct BadReader(Reader<AnyRead>, Defect);

struct BadWriter {
    writer: Writer<AnyWrite>,
    defect: Defect,
    is_closed: bool,
}

impl AsyncRead for BadReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Self(reader, defect) = self.get_mut();
        let polled = Pin::new(reader).poll_read(cx, buf);
        match (polled, *defect) {
            (Poll::Ready(Ok(n @ 3..)), Defect::LosesByte) => Poll::Ready(Ok(n - 1)),
            (Poll::Ready(Ok(n @ 2..)), Defect::SwapsBytes) => {
                buf.swap(0, n - 1);
                Poll::Ready(Ok(n))
            }
            (polled, _) => polled,
        }
    }
}

impl AsyncWrite for BadWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_closed && this.defect == Defect::TakesAfterClose {
            return Poll::Ready(Ok(buf.len()));
        }
        match Pin::new(&mut this.writer).poll_write(cx, buf) {
            Poll::Ready(Err(_)) if this.defect == Defect::TakesNothing => Poll::Ready(Ok(0)),
            polled => polled,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().writer).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.is_closed = true;
        if this.defect == Defect::HasNoEnd {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.writer).poll_close(cx)
    }
}

fn bad(connection: memory::MemoryConnection, defect: Defect) -> Connection<BadReader, BadWriter> {
    let Connection { reader, writer, .. } = connection.erase();
    let writer = BadWriter {
        writer,
        defect,
        is_closed: false,
    };
    Connection::new(BadReader(reader, defect), writer)
}

/// Returns the message of the check, or None if it passes.
fn problem(check: HalvesCheck, defect: Defect) -> Option<String> {
    let run = || {
        smol::block_on(check.check(async || {
            let (near, far) = memory::pair(1000);
            Ok((bad(near, defect), bad(far, defect)))
        }));
    };
    let panic = catch_unwind(AssertUnwindSafe(run)).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
}

#[test]
fn each_defect_is_found_and_named() {
    let check = HalvesCheck::default().bytes(20_000);
    for (defect, message) in [
        (Defect::LosesByte, "in order and complete"),
        (Defect::SwapsBytes, "in order and complete"),
        (Defect::TakesAfterClose, "nothing is taken after a close"),
        (Defect::TakesNothing, "gone"),
    ] {
        let found = problem(check, defect).unwrap_or_default();
        assert!(found.contains(message), "{defect:?}: {found}");
    }
    assert_eq!(problem(check, Defect::None), None);
}

/// The check of an end would wait for ever.
#[test]
fn a_stream_without_an_end_passes_the_check_without_ends() {
    let check = HalvesCheck::default().bytes(20_000).ends(Ends::Neither);
    assert_eq!(problem(check, Defect::HasNoEnd), None);
}
