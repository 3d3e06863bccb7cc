//! The order of input and answer, pauses, and the timeout.

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::Connection;
use halves::testing::{
    Difference, Faults, Replay, Replayed, Sim, SimReader, SimWriter, Simulation,
};

use super::{TWO_LINES, record, replay, upper};

/// A server that greets, and answers a client that is too early otherwise.
async fn greet(mut connection: Connection) -> io::Result<()> {
    for _ in 0..50 {
        future::yield_now().await;
    }
    let early = future::poll_once(connection.reader.read_chunk()).await;
    if early.is_some() {
        return connection.writer.write_all(b"554 too early\n").await;
    }
    connection.writer.write_all(b"220 hello\n").await?;
    connection.reader.line().await?;
    connection.writer.write_all(b"250 ok\n").await
}

#[test]
fn input_is_sent_behind_the_answer_that_precedes_it() {
    let events = "1 out \"220 hello\\n\"\n1 in \"EHLO\\n\"\n2 out \"250 ok\\n\"\n2 closed\n";
    let replay = replay(events).pace(f64::INFINITY).seeds(0..20);
    replay.run(greet);
    // The record of an early client.
    let early = "0 in \"EHLO\\n\"\n1 out \"554 too early\\n\"\n2 closed\n";
    super::replay(early).seeds(0..20).run(greet);
}

#[test]
fn input_is_sent_behind_an_end_that_precedes_it() {
    let handler = async |mut connection: Connection| {
        connection.writer.close().await?;
        for _ in 0..50 {
            future::yield_now().await;
        }
        let early = future::poll_once(connection.reader.read_chunk()).await;
        assert!(early.is_none(), "too early");
        connection
            .reader
            .read_to_end(&mut Vec::new())
            .await
            .map(drop)
    };
    // The end needs a moment to arrive.
    let slow = Faults::none().latency(Duration::from_secs(1)..Duration::from_secs(1));
    let events = "0 out end\n0 in \"late\"\n0 in end\n0 closed\n";
    replay(events).faults(slow).run(handler);
}

/// Replays to a handler that answers this much later than it is asked.
fn delayed(replay: &Replay, delay: Duration) -> Result<Replayed, Difference> {
    let result = RefCell::new(None);
    Simulation::builder()
        .seed(3)
        .faults(Faults::none())
        .run(async |sim: Sim| {
            let clock = sim.clock().clone();
            let handler = async move |mut c: Connection<SimReader, SimWriter>| {
                while let Some(line) = c.reader.line().await? {
                    clock.sleep(delay).await;
                    c.writer.write_all(&line.to_ascii_uppercase()).await?;
                }
                Ok(())
            };
            let _server = sim.serve("server", handler)?;
            let client = sim.connect("server").await?;
            let played = replay.play(client, sim.clock()).await;
            result.replace(Some(played));
            Ok(())
        });
    result.into_inner().expect("it is played")
}

#[test]
fn an_answer_may_be_later_than_recorded_by_the_timeout() {
    let replay = replay("0 in \"a\\n\"\n3 out \"A\\n\"\n").timeout(Duration::from_secs(2));
    let (most, step) = (Duration::from_secs(5), Duration::from_nanos(1));
    for delay in [Duration::ZERO, most - step, most] {
        assert_eq!(delayed(&replay, delay).expect("in time").time, delay);
    }
    let difference = delayed(&replay, most + step).expect_err("too late");
    assert!(
        difference.to_string().ends_with("answered nothing in 5s"),
        "{difference}"
    );
    assert_eq!(difference.time, most);
}

/// The server answers a minute after its client has connected, and the input is early.
#[test]
fn a_timer_of_the_server_does_not_follow_the_pace() {
    let events = "0 in \"a\\n\"\n50 in \"b\\n\"\n60 out \"late\"\n60 closed\n";
    let played = RefCell::new(Vec::new());
    for (pause, is_right) in [(60, true), (65, true), (66, false)] {
        let replay = replay(events)
            .pace(f64::INFINITY)
            .timeout(Duration::from_secs(5));
        Simulation::builder()
            .seed(3)
            .faults(Faults::none())
            .run(async |sim: Sim| {
                let clock = sim.clock().clone();
                let handler = async move |mut c: Connection<SimReader, SimWriter>| {
                    clock.sleep(Duration::from_secs(pause)).await;
                    c.reader.exactly(4).await?;
                    c.writer.write_all(b"late").await
                };
                let _server = sim.serve("server", handler)?;
                let client = sim.connect("server").await?;
                let result = replay.play(client, sim.clock()).await;
                played.borrow_mut().push((pause, result.is_ok()));
                Ok(())
            });
        assert_eq!(played.borrow().last(), Some(&(pause, is_right)));
    }
}

#[test]
fn the_pace_shortens_the_pauses_of_the_input() {
    let delay = Duration::from_millis(100);
    for (pace, time) in [
        // The answer is at 100 ms, then there are two pauses of 1 s and 0.5 s.
        (1.0, 1700),
        (2.0, 950),
        (0.5, 3200),
        (f64::INFINITY, 200),
    ] {
        let replayed = delayed(&replay(TWO_LINES).pace(pace), delay).expect("the same");
        assert_eq!(replayed.time, Duration::from_millis(time), "{pace}");
        assert_eq!((replayed.sent, replayed.received), (4, 4));
    }
}

#[test]
fn a_pace_that_is_no_number_above_0_panics() {
    for pace in [0.0, -1.0, f64::NAN] {
        let set = std::panic::catch_unwind(|| drop(Replay::new(record("")).pace(pace)));
        assert!(set.is_err(), "{pace}");
    }
}

#[test]
fn a_record_of_days_is_replayed() {
    let days = "0 in \"a\\n\"\n0 out \"A\\n\"\n864000 in end\n864000 closed\n";
    let summary = replay(days).try_run(upper).expect("the same");
    assert_eq!(summary.time, Duration::from_hours(240));
}

#[test]
fn a_replay_that_is_dropped_in_the_middle_of_the_input_is_a_reset() {
    for (events, server_ends, is_reset) in [
        ("0 in \"a\"\n0 out \"A\"\n", false, true),
        ("0 in end\n0 out \"A\"\n", false, false),
        ("0 out end\n5 in \"a\"\n5 in end\n", true, true),
        ("0 out end\n5 in end\n", true, true),
        ("0 in end\n0 out end\n5 reset\n", true, false),
    ] {
        Simulation::builder().seed(3).run(async |sim: Sim| {
            let mut listener = sim.listen("server")?;
            let accept = halves::Listener::accept(&mut listener);
            let (client, server) = future::try_zip(sim.connect("server"), accept).await?;
            let mut server = server.expect("a connection");
            if server_ends {
                server.writer.close().await?;
            }
            let replay = replay(events);
            let played = replay.play(client, sim.clock());
            // It waits for an answer or through a pause.
            let stopped = sim.clock().timeout(Duration::from_secs(1), played).await;
            assert!(stopped.is_err());
            let read = server.reader.read_to_end(&mut Vec::new()).await;
            assert_eq!(read.is_err(), is_reset, "{events}");
            Ok(())
        });
    }
}
