//! Handlers of this crate under every split of their input, and calls that are dropped at each await.

use std::panic::catch_unwind;

use futures_lite::{AsyncWriteExt, StreamExt};
use halves::framing::{Framing, Length};
use halves::proxy_protocol::{ProxyProtocol, Version};
use halves::testing::{every_cancel, every_split, pieces};
use halves::{Connection, Peer, service};

#[test]
fn services_answer_the_same_to_every_split() {
    let text = "h\u{e9}llo,\nwor";
    let upper = async |c: Connection| service::upper(c.reader, c.writer).await;
    assert_eq!(
        every_split(text, upper),
        text.to_ascii_uppercase().as_bytes()
    );
    let echo = async |c: Connection| service::echo(c.reader, c.writer).await;
    assert_eq!(every_split(text, echo), text.as_bytes());
    let discard = async |c: Connection| service::discard(c.reader, c.writer).await;
    assert_eq!(every_split(text, discard), b"");
}

#[test]
fn frames_are_the_same_in_every_split() {
    let lengths = async |mut c: Connection| {
        while let Some(frame) = c.reader.frame(Length::U16Be).await? {
            c.writer.write_frame(Length::U8, &frame).await?;
        }
        Ok(())
    };
    assert_eq!(
        every_split("\0\x03one\0\0\0\x05three", lengths),
        b"\x03one\0\x05three"
    );
    let fields = async |mut c: Connection| {
        let mut frames = c.reader.frames(Framing::Until(&[b"\r\n", b":"]));
        while let Some(field) = frames.next().await {
            c.writer.write_frame(Length::U8, &field?).await?;
        }
        Ok(())
    };
    assert_eq!(
        every_split("a:b\r\n:\r\r\nc:", fields),
        b"\x02a:\x03b\r\n\x01:\x03\r\r\n\x02c:"
    );
}

/// The input behind a header of each version is echoed.
#[test]
fn a_header_is_received_in_every_split() {
    let proxy = ProxyProtocol::new(Version::Any);
    let echo = async |c: Connection| {
        let anonymous = c.with_peer(Peer::default().anonymous());
        let c = proxy.receive(anonymous).await?;
        assert_eq!(c.peer.to_string(), "203.0.113.1:7");
        service::echo(c.reader, c.writer).await
    };
    let v1 = b"PROXY TCP4 203.0.113.1 198.51.100.7 7 443\r\nhello";
    assert_eq!(every_split(v1, echo), b"hello");
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x01\xc6\x33\x64\x07\0\x07\x01\xbbhello";
    assert_eq!(every_split(v2, echo), b"hello");
}

#[test]
fn calls_that_read_may_be_dropped_at_each_await() {
    let make = || pieces(["\0", "\x05o", "ne\n", "x", "\0"]).0;
    let frame = every_cancel(make, async |c| c.reader.frame(Length::U16Be).await.ok());
    assert_eq!(frame, Some(Some(b"one\nx".to_vec())));
    let line = every_cancel(make, async |c| {
        c.reader.frames(Framing::LINES).next().await.map(Result::ok)
    });
    assert_eq!(line, Some(Some(b"\0\x05one\n".to_vec())));
    let until = every_cancel(make, async |c| c.reader.until(&[b"\nx", b"\r"]).await.ok());
    assert_eq!(until, Some(Some(b"\0\x05one\nx".to_vec())));
    let exactly = every_cancel(make, async |c| c.reader.exactly(4).await.ok());
    assert_eq!(exactly, Some(b"\0\x05on".to_vec()));
    assert!(every_cancel(make, async |c| c
        .reader
        .more_or_drain()
        .await
        .is_ok()));
}

#[test]
fn a_line_that_is_lost_by_a_dropped_write_is_found() {
    let make = || pieces(["one\n", "two\n"]).0;
    let passed_on = catch_unwind(|| {
        every_cancel(make, async |c| {
            let line = c.reader.line().await.expect("a line");
            let written = c.writer.write_all(line.as_deref().unwrap_or_default());
            written.await.expect("open");
            line
        })
    });
    let problem = passed_on.expect_err("the second call passes the second line on");
    let problem = problem.downcast_ref::<String>().expect("a message");
    assert!(problem.starts_with("after a drop at await 2 "), "{problem}");
}
