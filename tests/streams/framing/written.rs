//! Frames are read as they were written.

use std::io::ErrorKind;

use futures_lite::future;
use halves::Connection;
use halves::framing::Length;
use halves::listener::memory;

const ALL: [(Length, usize); 5] = [
    (Length::U8, u8::MAX as usize),
    (Length::U16Be, u16::MAX as usize),
    (Length::U16Le, u16::MAX as usize),
    (Length::U32Be, 70_000),
    (Length::U32Le, 70_000),
];

#[test]
fn every_length_is_read_as_it_was_written() {
    for (length, most) in ALL {
        for size in [0, 1, 200, most] {
            let frame: Vec<_> = (0..size).map(|n| n.to_le_bytes()[0]).collect();
            // With so little room that it is written in pieces.
            let (mut near, mut far) = memory::pair(3);
            far.reader.set_frame_limit(most);
            let write = async {
                near.writer.write_frame(length, &frame).await?;
                near.writer.write_frame(length, b"next").await
            };
            let read = async {
                let first = far.reader.frame(length).await?;
                let next = far.reader.frame(length).await?;
                Ok((first, next))
            };
            let ((), read) = future::block_on(future::try_zip(write, read)).expect("no error");
            assert_eq!(read, (Some(frame), Some(b"next".to_vec())), "{length:?}");
        }
    }
}

#[test]
fn the_byte_order_is_that_of_the_name() {
    let written = |length| {
        let mut c = Connection::new(futures_lite::io::empty(), Vec::new());
        let frame = vec![b'x'; 0xFE];
        future::block_on(c.writer.write_frame(length, &frame)).expect("no error");
        let (_, bytes, _) = c.into_parts();
        let bytes = bytes.into_inner();
        bytes[..bytes.len() - frame.len()].to_vec()
    };
    assert_eq!(written(Length::U8), [0xFE]);
    assert_eq!(written(Length::U16Be), [0, 0xFE]);
    assert_eq!(written(Length::U16Le), [0xFE, 0]);
    assert_eq!(written(Length::U32Be), [0, 0, 0, 0xFE]);
    assert_eq!(written(Length::U32Le), [0xFE, 0, 0, 0]);
}

#[test]
fn a_frame_too_long_for_its_length_field_is_refused() {
    for (length, size) in [
        (Length::U8, 256),
        (Length::U16Be, 65_536),
        (Length::U16Le, 65_536),
    ] {
        let mut c = Connection::new(futures_lite::io::empty(), Vec::new());
        let written = future::block_on(c.writer.write_frame(length, &vec![0; size]));
        let error = written.expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(&size.to_string()), "{error}");
        assert_eq!(c.peer.bytes_out(), 0);
        let mut buffered = c.writer.buffered();
        let kept = buffered.write_frame(length, &vec![0; size]);
        assert_eq!(kept.expect_err("too long").kind(), ErrorKind::InvalidInput);
        assert_eq!(buffered.waiting(), 0);
    }
}
