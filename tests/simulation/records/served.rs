//! Recorded connections of a server.

use std::cell::RefCell;
use std::io;
use std::net::Shutdown as End;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::service::{echo, upper};
use halves::testing::{Faults, Record, Recorded, Recording, Sim, Simulation, record};
use halves::{Connection, Event, Executor, Reason, Server, bind};

/// The records of a server.
type Records = Rc<RefCell<Vec<Recording>>>;

/// Serves capital letters to clients, and keeps the records.
async fn clients(sim: Sim, records: Records) -> io::Result<()> {
    let kept = records.clone();
    let handler = move |connection: Connection<_, _>| {
        let (connection, recording) = record(connection);
        kept.borrow_mut().push(recording);
        upper(connection.reader, connection.writer)
    };
    let server = sim.serve("server", handler)?;
    let client = async |text: &[u8]| {
        let mut client = sim.connect("server").await?;
        client.writer.write_all(text).await?;
        sim.clock().sleep(Duration::from_millis(1500)).await;
        client.writer.close().await?;
        let mut answer = Vec::new();
        client.reader.read_to_end(&mut answer).await?;
        assert_eq!(answer, text.to_ascii_uppercase());
        io::Result::Ok(())
    };
    future::try_zip(client(b"hello\n"), client(&[b'x'; 3000])).await?;
    server.shutdown().drain();
    server.wait_closed().await;
    Ok(())
}

fn simulated(faults: Faults, seed: u64) -> Vec<Record> {
    let records = Records::default();
    let simulation = Simulation::builder().seed(seed).faults(faults);
    let run = |sim| clients(sim, records.clone());
    simulation.try_run(run).expect("no failure");
    records.take().iter().map(Recording::record).collect()
}

#[test]
fn a_simulated_record_is_the_same_on_every_machine() {
    let records = simulated(Faults::none(), 7);
    let short = records.iter().find(|record| record.input().len() == 6);
    let text = short.expect("a record").to_string();
    let expected = "halves-record 1\nclient 192.0.2.1:1025\nserver 10.0.0.1:7\n\
        0.000000 in \"hello\\n\"\n0.000000 out \"HELLO\\n\"\n\
        1.500000 in end\n1.500000 out end\n1.500000 closed\n";
    assert_eq!(text, expected);
}

#[test]
fn a_simulated_record_has_all_bytes_with_each_seed() {
    for seed in 0..100 {
        let records = simulated(Faults::default(), seed);
        assert_eq!(records, simulated(Faults::default(), seed), "seed {seed}");
        let mut lengths: Vec<_> = records.iter().map(|record| record.input().len()).collect();
        lengths.sort_unstable();
        assert_eq!(lengths, [6, 3000], "seed {seed}");
        for record in records {
            let ends: Vec<_> = record
                .events
                .iter()
                .rev()
                .take(3)
                .rev()
                .map(|e| e.what.clone())
                .collect();
            assert_eq!(
                record.answer(),
                record.input().to_ascii_uppercase(),
                "seed {seed}"
            );
            assert_eq!(
                ends,
                [Recorded::InEnd, Recorded::OutEnd, Recorded::Closed],
                "seed {seed}"
            );
        }
    }
}

/// Serves one connection on a socket with a recorded echo, and plays its client.
fn on_socket(client: impl FnOnce(std::net::TcpStream) + Send + 'static) -> (Record, Reason) {
    let ex = Executor::new();
    let (kept, recordings) = std::sync::mpsc::channel();
    let (closed, reasons) = std::sync::mpsc::channel();
    let listener = ex.block_on(bind("127.0.0.1:0")).expect("a listener");
    let address = listener.local_addrs()[0].to_string();
    let server = Server::default().on_event(move |event| {
        if let Event::Closed(end) = event {
            let _ = closed.send(end.reason);
        }
    });
    let handle = server.handle();
    let handler = move |connection: Connection| {
        let (connection, recording) = record(connection);
        assert!(connection.peer.id() > 0);
        let _ = kept.send(recording);
        echo(connection.reader, connection.writer)
    };
    let client = std::thread::spawn(move || {
        client(std::net::TcpStream::connect(address).expect("a connection"));
        handle.shutdown().drain();
    });
    ex.block_on(server.serve(&ex, listener, handler))
        .expect("a server");
    client.join().expect("the client");
    let recording = recordings.recv().expect("a recording");
    (recording.record(), reasons.recv().expect("an end"))
}

#[test]
fn a_half_close_of_a_socket_is_recorded() {
    use std::io::{Read, Write};
    let (record, reason) = on_socket(|mut client| {
        client.write_all(b"hello").expect("a write");
        client.shutdown(End::Write).expect("an end");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).expect("an answer");
        assert_eq!(answer, b"hello");
    });
    assert_eq!(
        (record.input(), record.answer()),
        (b"hello".to_vec(), b"hello".to_vec())
    );
    let what: Vec<_> = record.events.into_iter().map(|event| event.what).collect();
    assert_eq!(
        what[2..],
        [Recorded::InEnd, Recorded::OutEnd, Recorded::Closed]
    );
    assert_eq!(reason, Reason::Eof);
}

#[test]
fn a_reset_of_a_socket_is_recorded() {
    use std::io::Read;
    let (record, reason) = on_socket(|mut client| {
        std::io::Write::write_all(&mut client, b"hello").expect("a write");
        // An end with unread input is a reset.
        client.read_exact(&mut [0; 1]).expect("an answer");
    });
    let what: Vec<_> = record.events.into_iter().map(|event| event.what).collect();
    assert_eq!(what[2..], [Recorded::Reset, Recorded::Closed]);
    assert_eq!(reason, Reason::Error);
}

#[test]
fn a_drain_ends_a_recorded_connection_that_is_idle() {
    use std::io::{Read, Write};
    let (record, reason) = on_socket(|mut client| {
        client.write_all(b"hello").expect("a write");
        client.read_exact(&mut [0; 5]).expect("an answer");
        // The drain begins while the client keeps its half open.
        std::mem::forget(client);
    });
    assert_eq!(record.answer(), b"hello");
    assert_eq!(
        record.events.last().map(|event| &event.what),
        Some(&Recorded::Closed)
    );
    assert_eq!(reason, Reason::Drained);
}
