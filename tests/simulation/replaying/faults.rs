//! Replays over a network with faults.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use futures_lite::AsyncWriteExt;
use halves::Connection;
use halves::testing::Faults;

use super::{Act, TWO_LINES, does, replay, upper};

#[test]
fn pieces_delays_and_stalls_do_not_change_an_answer() {
    let faults = Faults::default()
        .max_piece(2)
        .buffer(3)
        .stalls(0.5)
        .pauses(0.3);
    let summary = replay(TWO_LINES).faults(faults.clone()).try_run(upper);
    assert_eq!(summary.expect("the same").runs, 100);
    let replay = replay(TWO_LINES).faults(faults).seeds(5..12);
    assert_eq!(replay.try_run(upper).expect("the same").runs, 7);
}

/// It answers each read, and not each line.
async fn counts_reads(mut connection: Connection) -> std::io::Result<()> {
    while !connection.reader.read_chunk().await?.is_empty() {
        connection.writer.write_all(b"ok\n").await?;
    }
    Ok(())
}

#[test]
fn a_handler_that_depends_on_pieces_is_found() {
    let replay = replay("0 in \"hello\"\n0 out \"ok\\n\"\n0 in end\n0 closed\n");
    replay.run(counts_reads);
    let replay = replay.faults(Faults::none().max_piece(2));
    let failure = replay.try_run(counts_reads).expect_err("it differs");
    assert!(
        failure.problem.contains("answered \"ok\\nok\\n"),
        "{failure}"
    );
    let again = replay.seed(failure.seed).try_run(counts_reads);
    assert_eq!(again.expect_err("again").trace, failure.trace);
}

/// Each fault happens within the bytes of the record.
fn losing() -> Vec<Faults> {
    let none = || Faults::none().offsets(0..4);
    vec![
        none().resets(1.0),
        none().ends(1.0),
        none().vanishings(1.0),
        Faults::all().offsets(0..4),
    ]
}

#[test]
fn behind_a_loss_an_answer_is_a_beginning_of_the_recorded_one() {
    let refused = Faults::none().refusals(1.0);
    for faults in losing().into_iter().chain([refused]) {
        let replay = replay(TWO_LINES).faults(faults);
        let summary = replay.try_run(upper).expect("a beginning");
        assert!(summary.faults > 0);
    }
}

#[test]
fn a_loss_does_not_hide_another_answer() {
    let acts = &[Act::Read(2), Act::Write("?")];
    for faults in losing() {
        let failed = replay(TWO_LINES).faults(faults).try_run(does(acts));
        failed.expect_err("it differs");
    }
}

/// Nothing is lost, so a missing part is a difference although faults are allowed.
#[test]
fn without_a_loss_a_part_of_the_answer_is_not_enough() {
    let faults = Faults::all()
        .resets(0.0)
        .ends(0.0)
        .vanishings(0.0)
        .refusals(0.0);
    let replay = replay(TWO_LINES).faults(faults.stalls(1.0).accept_errors(1.0).offsets(0..4));
    let failure = replay.try_run(does(&[Act::Read(2), Act::Write("A\n")]));
    let failure = failure.expect_err("it differs");
    assert!(failure.problem.ends_with("and then the end"), "{failure}");
}

#[test]
fn the_faults_of_a_failure_repeat_it() {
    let strict = async |mut connection: Connection| {
        loop {
            match connection.reader.line().await {
                Ok(Some(line)) => {
                    connection
                        .writer
                        .write_all(&line.to_ascii_uppercase())
                        .await?;
                }
                Ok(None) => return Ok(()),
                Err(_) => return connection.writer.write_all(b"a line is cut").await,
            }
        }
    };
    let replay = replay(TWO_LINES).faults(Faults::none().ends(0.5).offsets(1..2));
    let failure = replay
        .try_run(strict)
        .expect_err("the end of a cut line is answered");
    assert_eq!(failure.faults, ["connection 1 up at 1: end"]);
    let same = replay.seed(failure.seed);
    let again = same.clone().only(failure.faults.clone()).try_run(strict);
    assert_eq!(again.expect_err("again").problem, failure.problem);
    same.only(Vec::<String>::new()).run(strict);
}

#[test]
fn a_handler_sees_the_recorded_address_and_the_recorded_reset() {
    let seen = Rc::new(RefCell::new(BTreeSet::new()));
    let handler = {
        let seen = seen.clone();
        async move |mut connection: Connection| {
            let client = connection.peer.endpoint().to_string();
            let (client, _) = client.split_once(':').expect("an address");
            connection.writer.write_all(b"hello").await?;
            let read = connection.reader.read_chunk().await;
            let error = read.map(drop).map_err(|error| error.kind());
            seen.borrow_mut().insert((client.to_owned(), error));
            Ok(())
        }
    };
    let (ended, reset) = ("0 in end\n", "0 reset\n");
    for (last, error) in [
        (ended, Ok(())),
        (reset, Err(std::io::ErrorKind::ConnectionReset)),
    ] {
        let events = format!("0 out \"hello\"\n{last}0 closed\n");
        replay(&events).run(handler.clone());
        assert_eq!(
            seen.take().into_iter().collect::<Vec<_>>(),
            [("192.0.2.9".to_owned(), error)]
        );
    }
}

#[test]
#[should_panic(expected = "a handler panicked: behind the answer")]
fn a_panic_behind_the_answer_is_a_failure() {
    let handler = async |mut connection: Connection| {
        connection.writer.write_all(b"A").await?;
        connection.writer.close().await?;
        let _ = connection.reader.line().await;
        panic!("behind the answer");
    };
    replay("0 out \"A\"\n0 out end\n0 closed\n").run(handler);
}

#[test]
fn the_last_seed_can_be_replayed() {
    let replay = replay(TWO_LINES).seed(u64::MAX);
    assert_eq!(replay.try_run(upper).expect("the same").runs, 1);
}
