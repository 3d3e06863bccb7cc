//! The text of a record.

use std::io::ErrorKind;
use std::time::{Duration, UNIX_EPOCH};

use fastrand::Rng;
use halves::testing::{Record, RecordEvent, Recorded};

use crate::support::seed::seeds;

/// The most data in a line.
const MAX_DATA_BYTES: usize = 4096;
const EXAMPLE: &str = "\
halves-record 1
client 192.0.2.1:40112
server 127.0.0.1:50007
began 2026-11-27T13:46:51.123456Z
0.000000 in \"hello\\n\"
0.000120 out \"\\\"HELLO\\\"\\n\\\\\\t\\r\\x00\\xff\"
1.500000 in end
1.500100 out end
1.500150 reset
1.500200 cut disk \"full\"
";

fn parse(text: &str) -> Result<Record, String> {
    text.parse::<Record>().map_err(|error| error.to_string())
}

/// The error of these lines behind the first one.
fn refused(lines: &str) -> String {
    parse(&format!("halves-record 1\n{lines}")).expect_err(lines)
}

fn random_text(random: &mut Rng) -> String {
    let letters = random.usize(..20);
    std::iter::repeat_with(|| random.char(..))
        .take(letters)
        .collect()
}

/// A record with times in microseconds and data that fits into lines.
fn random_record(random: &mut Rng) -> Record {
    let mut record = Record {
        client: random_text(random),
        server: random_text(random),
        began: random
            .bool()
            .then(|| UNIX_EPOCH + Duration::from_micros(random.u64(..1 << 57))),
        ..Record::default()
    };
    let mut at = Duration::ZERO;
    for _ in 0..random.usize(..10) {
        let bits = random.u32(..40);
        at += Duration::from_micros(random.u64(..1 << bits));
        let longest = [1, 20, MAX_DATA_BYTES][random.usize(..3)];
        let length = random.usize(1..=longest);
        let data = std::iter::repeat_with(|| random.u8(..))
            .take(length)
            .collect();
        let what = match random.u8(..5) {
            0 => Recorded::InEnd,
            1 => Recorded::OutEnd,
            2 => Recorded::Reset,
            3 => Recorded::In(data),
            _ => Recorded::Out(data),
        };
        record.events.push(RecordEvent::new(at, what));
    }
    match random.u8(..3) {
        0 => record.events.push(RecordEvent::new(at, Recorded::Closed)),
        1 => {
            let cause = format!("cause{}", random_text(random));
            record
                .events
                .push(RecordEvent::new(at, Recorded::Cut(cause)));
        }
        _ => {}
    }
    record
}

#[test]
fn random_records_are_parsed_as_written() {
    for seed in seeds(2000) {
        let record = random_record(&mut Rng::with_seed(seed));
        let text = record.to_string();
        assert!(text.is_ascii(), "HALVES_SEED={seed}");
        assert_eq!(parse(&text), Ok(record), "HALVES_SEED={seed}");
    }
}

#[test]
fn a_text_is_written_as_parsed() {
    let record = parse(EXAMPLE).expect("a record");
    assert_eq!(record.to_string(), EXAMPLE);
    assert_eq!(record.client, "192.0.2.1:40112");
    assert_eq!(record.input(), b"hello\n");
    assert_eq!(record.answer(), b"\"HELLO\"\n\\\t\r\0\xff");
    assert_eq!(record.events[1].at, Duration::from_micros(120));
    assert_eq!(
        record.events[5].what,
        Recorded::Cut("disk \"full\"".to_owned())
    );
}

#[test]
fn every_change_of_a_byte_is_refused_or_parsed() {
    let mut refused = 0;
    for at in 0..EXAMPLE.len() {
        for byte in 0..=255 {
            let mut bytes = EXAMPLE.as_bytes().to_vec();
            bytes[at] = byte;
            let Ok(text) = str::from_utf8(&bytes) else {
                continue;
            };
            match text.parse::<Record>() {
                // What is parsed is a record as any other one.
                Ok(record) => assert_eq!(parse(&record.to_string()), Ok(record), "{text}"),
                Err(_) => refused += 1,
            }
        }
        // One byte less, and one more.
        let (before, after) = (&EXAMPLE[..at], &EXAMPLE[at..]);
        for text in [
            format!("{before}{}", &after[1..]),
            format!("{before}\\{after}"),
        ] {
            if let Ok(record) = text.parse::<Record>() {
                assert_eq!(parse(&record.to_string()), Ok(record), "{text}");
            }
        }
    }
    assert!(refused > EXAMPLE.len() * 20, "{refused}");
}

#[test]
fn random_garbage_never_panics() {
    const PIECES: &[&str] = &[
        "halves-record 1\n",
        "client ",
        "server ",
        "began ",
        "0",
        ".",
        "000001",
        " ",
        "in",
        "out",
        "end",
        "reset",
        "cut",
        "closed",
        "\"",
        "\\",
        "\\x",
        "\\n",
        "ff",
        "\n",
        "\r\n",
        "é",
        "9999",
    ];
    for seed in seeds(5000) {
        let mut random = Rng::with_seed(seed);
        let pieces = random.usize(..40);
        let text = std::iter::repeat_with(|| PIECES[random.usize(..PIECES.len())]).take(pieces);
        let text = format!("halves-record 1\n{}", text.collect::<String>());
        if let Ok(record) = text.parse::<Record>() {
            assert_eq!(
                parse(&record.to_string()),
                Ok(record),
                "HALVES_SEED={seed}: {text}"
            );
        }
    }
}

#[test]
fn data_of_more_than_a_line_becomes_several() {
    for (length, lines) in [
        (0, 0),
        (1, 1),
        (4095, 1),
        (4096, 1),
        (4097, 2),
        (8192, 2),
        (8193, 3),
    ] {
        // All of it is escaped, so the lines are as long as they can be.
        let data = vec![0xff; length];
        let at = Duration::new(u64::MAX, 999_999_999);
        let event = RecordEvent::new(at, Recorded::Out(data.clone()));
        let record = Record {
            events: vec![event],
            ..Record::default()
        };
        let parsed = parse(&record.to_string()).expect("a record");
        assert_eq!(
            (parsed.events.len(), parsed.answer()),
            (lines, data),
            "{length}"
        );
        assert!(
            parsed
                .events
                .iter()
                .all(|event| event.at == Duration::new(u64::MAX, 999_999_000))
        );
    }
}

#[test]
fn bounds_of_lines_are_kept() {
    let data = |bytes| format!("0 in \"{}\"\n", "x".repeat(bytes));
    assert!(parse(&format!("halves-record 1\n{}", data(MAX_DATA_BYTES))).is_ok());
    assert_eq!(
        refused(&data(MAX_DATA_BYTES + 1)),
        "line 2: too much data; a line has at most 4096 bytes of it"
    );
    let address = |bytes| format!("client {}\n", "x".repeat(bytes));
    assert!(parse(&format!("halves-record 1\n{}", address(MAX_DATA_BYTES))).is_ok());
    assert_eq!(
        refused(&address(MAX_DATA_BYTES + 1)),
        "line 2: the text is too long; it has at most 4096 bytes"
    );
    // A time with zeros in front, which makes a line as long as one may be.
    let line = |bytes: usize| format!("{}.0 reset\n", "0".repeat(bytes - 9));
    assert!(parse(&format!("halves-record 1\n{}", line(16_448))).is_ok());
    assert_eq!(
        refused(&line(16_449)),
        "line 2: the line is too long; it has at most 16448 bytes"
    );
}

/// Lines behind the first one, and the begin of their error.
const REFUSED: &[(&str, &str)] = &[
    ("\n", "line 2: \"\" is not a time"),
    ("1.0000000 reset\n", "line 2: \"1.0000000\" is not a time"),
    ("+1 reset\n", "line 2: \"+1\" is not a time"),
    ("1. reset\n", "line 2: \"1.\" is not a time"),
    (
        "18446744073709551616 reset\n",
        "line 2: \"18446744073709551616\" is not a time",
    ),
    (
        "1 reset\n0.999999 reset\n",
        "line 3: the time 0.999999 is earlier",
    ),
    (
        "0 over\n",
        "line 2: \"over\" is not an event; expected in \"data\"",
    ),
    ("0 reset now\n", "line 2: \"reset now\" is not an event"),
    (
        "0 in\n",
        "line 2: expected end, or data in quotes of at least one byte",
    ),
    (
        "0 in \"\"\n",
        "line 2: expected end, or data in quotes of at least one byte",
    ),
    ("0 in \"\n", "line 2: expected end, or data in quotes"),
    (
        "0 in \"a\"b\"\n",
        "line 2: a quote within data must be escaped, as \\\"",
    ),
    ("0 in \"\\a\"\n", "line 2: \\a is not an escape sequence"),
    (
        "0 in \"\\xg0\"\n",
        "line 2: \\x needs two hexadecimal digits",
    ),
    ("0 in \"\\\"\n", "line 2: a backslash at the end"),
    ("0 cut\n", "line 2: \"cut\" is not an event"),
    (
        "0 closed\n0 reset\n",
        "line 3: no event follows closed or cut",
    ),
    (
        "0 cut limit\n0 closed\n",
        "line 3: no event follows closed or cut",
    ),
    (
        "client \n",
        "line 2: the address is empty; leave the line out",
    ),
    ("client \\xff\n", "line 2: the escaped bytes are not UTF-8"),
    ("server a\nclient b\n", "line 3: \"client\" is out of place"),
    ("client a\nclient b\n", "line 3: \"client\" is out of place"),
    ("0 reset\nclient a\n", "line 3: \"client\" is out of place"),
    ("began now\n", "line 2: \"now\" is not a date"),
];

#[test]
fn errors_name_the_line_and_what_was_expected() {
    for (text, error) in [
        (
            "",
            "line 1: the text is empty; a record begins with \"halves-record 1\"",
        ),
        (
            "halves\n",
            "line 1: a record begins with \"halves-record 1\"",
        ),
        (
            "halves-record 2\n",
            "line 1: version \"2\" of records is not known; only 1 is",
        ),
        (
            "halves-record 1\r\n",
            "line 1: a carriage return; lines end with a line feed only",
        ),
        (
            "halves-record 1",
            "line 1: the line has no line end, so it may be incomplete; add one or remove the line",
        ),
        (
            "halves-record 1\n0 in \"\u{e9}\"\n",
            "line 2: the byte \\xc3 must be escaped",
        ),
        (
            "halves-record 1\n0 in \"\t\"\n",
            "line 2: the byte \\x09 must be escaped",
        ),
    ] {
        assert_eq!(parse(text), Err(error.to_owned()));
    }
    for (lines, error) in REFUSED {
        let got = refused(lines);
        assert!(got.starts_with(error), "{lines:?}: {got}");
    }
}

#[test]
fn a_record_without_addresses_is_written_without_their_lines() {
    let record = parse("halves-record 1\n1.5 in \"a\"\n").expect("a record");
    assert_eq!(record.to_string(), "halves-record 1\n1.500000 in \"a\"\n");
    assert_eq!((record.client, record.began), (String::new(), None));
}

#[test]
fn a_file_is_read_and_an_error_names_it() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&file, EXAMPLE).expect("room");
    let record = Record::read(file.path()).expect("a record");
    assert_eq!(record.to_string(), EXAMPLE);
    // The bytes need not be UTF-8.
    for (bytes, problem) in [
        (
            &b"halves-record 1\n0 in \"\xff\"\n"[..],
            "line 2: the byte \\xff must be escaped",
        ),
        (
            b"halves-record 1\n0 in end",
            "line 2: the line has no line end",
        ),
        (b"", "line 1: the text is empty"),
    ] {
        std::fs::write(&file, bytes).expect("room");
        let error = Record::read(file.path()).expect_err("no record");
        let expected = format!("{}: {problem}", file.path().display());
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
    let error = Record::read("/dev/zero").expect_err("no record");
    assert!(
        error
            .to_string()
            .starts_with("/dev/zero: line 1: the line is too long"),
        "{error}"
    );
}
