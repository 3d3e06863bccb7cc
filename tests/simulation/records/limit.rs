//! The longest record.

use std::path::Path;

use futures_lite::future::block_on;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::testing::{Record, Recorded, Recorder, pieces};
use halves::{Clock, Connection, Endpoint, Peer};

/// The shortest limit.
const MIN_LIMIT_BYTES: usize = 1024;
/// Kept free for the line of the cut.
const RESERVED_BYTES: usize = 40;

/// Records an exchange, and returns its record. Every byte passes, with each limit.
fn exchange(limit: usize, input: &[u8], output: &[u8]) -> Record {
    let (connection, written) = pieces(input.chunks(100));
    let recorder = Recorder::default().clock(Clock::manual().0).limit(limit);
    let (connection, recording) = recorder.record(connection);
    let Connection {
        mut reader,
        mut writer,
        ..
    } = connection;
    block_on(async {
        let mut got = Vec::new();
        reader.read_to_end(&mut got).await?;
        assert_eq!(got, input);
        writer.write_all(output).await?;
        writer.close().await
    })
    .expect("no failure");
    assert_eq!(written.bytes(), output);
    drop((reader, writer));
    recording.record()
}

fn is_cut(record: &Record) -> bool {
    let last = record.events.last().map(|event| event.what.clone());
    last == Some(Recorded::Cut("limit".to_owned()))
}

#[test]
fn a_record_is_whole_up_to_its_limit() {
    let (input, output) = (b"hello\n".repeat(50), b"\xff".repeat(300));
    let whole = exchange(1_000_000, &input, &output);
    assert_eq!(
        (whole.input(), whole.answer()),
        (input.clone(), output.clone())
    );
    assert_eq!(
        whole.events.last().map(|event| &event.what),
        Some(&Recorded::Closed)
    );
    let length = whole.to_string().len();
    assert!(length > MIN_LIMIT_BYTES, "{length}");
    for (limit, cut) in [
        (length + RESERVED_BYTES + 1, false),
        (length + RESERVED_BYTES, false),
        (length + RESERVED_BYTES - 1, true),
    ] {
        let record = exchange(limit, &input, &output);
        assert_eq!(is_cut(&record), cut, "{limit}");
        assert_eq!(record == whole, !cut, "{limit}");
    }
}

#[test]
fn a_record_that_is_cut_is_a_begin_within_its_limit() {
    let (input, output) = (b"hello\n".repeat(100), b"\xff\\".repeat(400));
    for limit in (0..3000).step_by(7).chain([usize::MAX]) {
        let record = exchange(limit, &input, &output);
        let length = record.to_string().len();
        let most = limit.max(MIN_LIMIT_BYTES);
        assert!(length <= most, "{limit}: {length}");
        assert!(input.starts_with(&record.input()), "{limit}");
        assert!(output.starts_with(&record.answer()), "{limit}");
        assert_eq!(is_cut(&record), limit < 3000, "{limit}");
        // The room is used: what is left is less than an event of one byte.
        assert!(
            !is_cut(&record) || most - length < RESERVED_BYTES + 24,
            "{limit}: {length}"
        );
    }
}

#[test]
fn a_write_that_does_not_fit_is_recorded_in_part() {
    let record = exchange(20_000, b"", &b"x".repeat(64 * 1024));
    let answer = record.answer();
    assert!(answer.len() > 19_500, "{}", answer.len());
    assert!(is_cut(&record));
}

#[test]
fn a_long_address_leaves_room_for_events() {
    let name = "\u{e9}".repeat(1000);
    let [client, server] = [(); 2].map(|()| Endpoint::Device(Path::new(&name).into()));
    let peer = Peer::new(client, server);
    let connection = Connection::from_parts(&b"hello, halves"[..], futures_lite::io::sink(), peer);
    let (mut connection, recording) = Recorder::default().limit(0).record(connection);
    let mut got = Vec::new();
    block_on(connection.reader.read_to_end(&mut got)).expect("bytes");
    let record = recording.record();
    assert_eq!(record.client, name[..112]);
    assert_eq!(record.input(), b"hello, ");
    assert!(is_cut(&record));
    assert!(record.to_string().len() <= MIN_LIMIT_BYTES);
}
