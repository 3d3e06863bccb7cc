//! Each kind of difference, and what is none.

use halves::Connection;
use halves::testing::{Difference, Observed, Record, RecordEvent, Recorded, Replay, Simulation};
use std::time::Duration;

use super::{Act, TWO_LINES, does, record, replay, upper};
use crate::support::seed::seeds;

#[test]
fn the_same_answer_has_no_difference() {
    let summary = replay(TWO_LINES).try_run(upper).expect("the same");
    assert_eq!((summary.runs, summary.connections), (1, 1));
    assert_eq!(summary.time, Duration::from_millis(1500), "the pauses");
}

/// The problem of a handler that does this.
fn problem(events: &str, acts: &'static [Act]) -> String {
    let failure = replay(events).try_run(does(acts));
    failure.expect_err("it differs").problem
}

#[test]
fn each_difference_has_its_place_and_both_texts() {
    use Act::{End, Hang, Read, ReadEnd, Reset, Write};
    for (acts, text) in [
        (
            &[Read(2), Write("A\n"), Read(2), Write("b\n"), ReadEnd][..],
            "after 2 bytes (line 7 of the record, after 1.000s): \
             recorded \"A\\nB\\n\", answered \"A\\nb\\n\"",
        ),
        (
            &[Read(2), Write("aha\n")],
            "after 0 bytes (line 5 of the record, after 0.000s): \
             recorded \"A\\nB\\n\", answered \"aha\\n\"",
        ),
        (
            &[Read(2), Write("A")],
            "after 1 byte (line 5 of the record, after 0.000s): \
             recorded \"A\\nB\\n\", answered \"A\" and then the end",
        ),
        (
            &[],
            "after 0 bytes (line 5 of the record, after 0.000s): \
             recorded \"A\\nB\\n\", answered the end",
        ),
        (
            &[Read(2), Write("A\n"), Read(2), Reset],
            "after 2 bytes (line 7 of the record, after 1.000s): \
             recorded \"A\\nB\\n\", answered \"A\\n\" and then a reset",
        ),
        (
            &[Read(2), Write("A\n"), Hang],
            "after 2 bytes (line 7 of the record, after 61.500s): \
             recorded \"A\\nB\\n\", answered \"A\\n\" and then nothing in 60.5s",
        ),
        (
            &[Read(2), Write("A\nB\n?"), ReadEnd],
            "after 4 bytes (line 9 of the record, after 0.000s): \
             recorded \"A\\nB\\n\" and then the end, answered \"A\\nB\\n?\"",
        ),
        (
            &[Read(2), Write("A\nB\n"), ReadEnd, Hang],
            "after 4 bytes (line 9 of the record, after 62.000s): \
             recorded \"A\\nB\\n\" and then the end, answered \"A\\nB\\n\" and then nothing in 60.5s",
        ),
        (
            &[Read(2), Write("A\nB\n"), ReadEnd, Reset],
            "after 4 bytes (line 9 of the record, after 1.500s): \
             recorded \"A\\nB\\n\" and then the end, answered \"A\\nB\\n\" and then a reset",
        ),
    ] {
        // The recorded times are those of the pauses: the answers come at once.
        assert_eq!(
            problem(TWO_LINES, acts),
            format!("the answer differs {text}"),
            "{acts:?}"
        );
    }
    let same = &[Read(2), Write("A\nB\n"), End, ReadEnd];
    replay(TWO_LINES).run(does(same));
}

#[test]
fn halves_that_were_dropped_may_be_an_end_or_a_reset() {
    use Act::{Hang, Read, Reset, Write};
    let closed = "0 in \"a\"\n0 out \"A\"\n0 closed\n";
    replay(closed).run(does(&[Read(1), Write("A")]));
    // Seen as a reset, as the input is cut with the answer.
    replay("0 in \"a\"\n0 out \"A\"\n0 in \"b\"\n0 closed\n").run(does(&[
        Read(1),
        Write("A"),
        Read(1),
        Reset,
    ]));
    let open = problem(closed, &[Read(1), Write("A"), Hang]);
    let end = "recorded \"A\" and then the end or a reset, answered \"A\" and then nothing in 60s";
    assert!(open.ends_with(end), "{open}");
    let more = problem(closed, &[Read(1), Write("AB")]);
    assert!(
        more.ends_with("the end or a reset, answered \"AB\""),
        "{more}"
    );
    let reset = problem(closed, &[Read(1), Reset]);
    assert!(
        reset.ends_with("recorded \"A\", answered a reset"),
        "{reset}"
    );
}

#[test]
fn input_that_is_not_taken_is_a_difference() {
    let mut record = record("0 in \"a\"\n");
    // More than the network and the reader hold: 49 lines.
    let large = Recorded::In(vec![b'x'; 200_000]);
    record.events.push(RecordEvent::new(Duration::ZERO, large));
    let last = Recorded::Out(b"thanks".to_vec());
    record.events.push(RecordEvent::new(Duration::ZERO, last));
    let replay = Replay::new(record);
    let failure = replay.try_run(does(&[Act::Read(1), Act::Hang]));
    let problem = failure.expect_err("it differs").problem;
    assert_eq!(
        problem,
        "the answer differs after 0 bytes (line 5 of the record, after 60.000s): \
         recorded \"thanks\", answered no input taken in 60s"
    );
    // A handler that ends has not to read the rest.
    replay.run(does(&[Act::Write("thanks")]));
    let failure = replay.try_run(does(&[Act::Read(200_001), Act::Hang]));
    let problem = failure.expect_err("it differs").problem;
    assert!(problem.contains("(line 54 of the record, "), "{problem}");
}

#[test]
fn behind_a_cut_or_a_reset_everything_is_right() {
    use Act::{Hang, Read, Reset, Write};
    for cut in ["0 cut limit\n", "", "0 reset\n0 closed\n"] {
        let events = format!("0 in \"a\"\n0 out \"A\"\n{cut}");
        for acts in [
            &[Read(1), Write("A")][..],
            &[Read(1), Write("A and more")],
            &[Read(1), Write("A"), Hang],
        ] {
            replay(&events).run(does(acts));
        }
        let problem = problem(&events, &[Read(1), Write("a")]);
        assert!(problem.contains("(line 5 of the record, "), "{problem}");
        let failure = replay(&events).try_run(does(&[Read(1), Reset]));
        failure.expect_err("a part is missing");
    }
}

#[test]
fn texts_have_up_to_16_bytes_before_and_40_from_the_difference_on() {
    let text =
        |before: usize, behind: usize| format!("{}{}", "b".repeat(before), "c".repeat(behind));
    for (before, behind, seen, dots) in [
        (15, 39, (15, 39), ""),
        (16, 40, (16, 40), ""),
        (17, 41, (16, 40), "..."),
    ] {
        let events = format!("0 out \"{}\"\n0 closed\n", text(before, behind));
        let answer: &'static str = text(before, 0).leak();
        let acts: &'static [Act] = vec![Act::Write(answer), Act::Write("x")].leak();
        let problem = problem(&events, acts);
        let expected = format!(
            "recorded {dots}\"{}\", answered {dots}\"{}x\"",
            text(seen.0, seen.1),
            text(seen.0, 0)
        );
        assert!(problem.ends_with(&expected), "{problem}");
    }
}

#[test]
fn a_difference_is_a_value_too() {
    Simulation::builder().seed(1).run(async |sim| {
        let acts = &[Act::Read(2), Act::Write("A\n?")];
        let handler = does(acts);
        let _server = sim.serve("server", move |c: Connection<_, _>| handler(c.erase()))?;
        let client = sim.connect("server").await?;
        let played = replay(TWO_LINES).play(client, sim.clock()).await;
        let difference: Difference = played.expect_err("it differs");
        assert_eq!((difference.offset, difference.line), (2, 7));
        assert_eq!(difference.before, b"A\n");
        assert_eq!(difference.recorded, Observed::Bytes(b"B\n".to_vec()));
        assert_eq!(difference.answered, Observed::Bytes(b"?".to_vec()));
        assert!(!difference.is_prefix());
        Ok(())
    });
}

/// A record of lines and their answers in capital letters, from a seed.
fn random_record(rng: &mut fastrand::Rng) -> Record {
    let mut record = Record::default();
    let mut at = Duration::ZERO;
    for _ in 0..rng.usize(1..8) {
        let length = [1, 10, 5000][rng.usize(..3)];
        let line: Vec<u8> = (0..length).map(|_| rng.u8(b'a'..=b'z')).collect();
        at += Duration::from_micros(rng.u64(..1_000_000));
        let upper = line.to_ascii_uppercase();
        record.events.push(RecordEvent::new(at, Recorded::In(line)));
        record
            .events
            .push(RecordEvent::new(at, Recorded::Out(upper)));
    }
    record.events.push(RecordEvent::new(at, Recorded::InEnd));
    record.events.push(RecordEvent::new(at, Recorded::OutEnd));
    // From text, as the lines are those of the text.
    let text = record.to_string();
    text.parse().expect("a record")
}

/// One byte of the recorded answer is changed: the place is found, and its line of the text.
#[test]
fn the_place_of_one_changed_byte_is_found() {
    for seed in seeds(200) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut record = random_record(&mut rng);
        Replay::new(record.clone()).run(upper);
        let place = rng.usize(..record.answer().len());
        let mut offset = 0;
        for event in &mut record.events {
            let Recorded::Out(bytes) = &mut event.what else {
                continue;
            };
            if (offset..offset + bytes.len()).contains(&place) {
                bytes[place - offset] = b'?';
            }
            offset += bytes.len();
        }
        let text = record.to_string();
        let line = 1 + text
            .lines()
            .position(|line| line.contains('?'))
            .expect("a line");
        let failure = Replay::new(record).try_run(upper).expect_err("it differs");
        let expected = format!("differs after {place} byte");
        let at_line = format!("(line {line} of the record");
        let problem = failure.problem;
        assert!(
            problem.contains(&expected) && problem.contains(&at_line),
            "HALVES_SEED={seed}: {expected} {at_line}: {problem}"
        );
    }
}
