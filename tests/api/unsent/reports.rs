//! The loss of bytes is reported once.

use super::*;

use crate::support::harness::sockets::run;

#[test]
fn a_reset_by_the_client_is_an_error_of_a_connection_that_waits_for_it() {
    for family in FAMILIES {
        run(family, async |world| {
            let (served, client, _) = left(&world, Server::default()).await;
            client.reset();
            let events = served.until_closed().await;
            assert!(events[0].starts_with("closed 1 error: "), "{events:?}");
        });
    }
}

#[test]
fn a_loss_after_a_close_is_reported_too() {
    for family in FAMILIES {
        run(family, async |world| {
            let (served, client, _) = left(&world, Server::default()).await;
            served.handle.close_clients();
            world.settle().await;
            client.reset();
            let events = served.until_closed().await;
            assert!(events[0].starts_with("closed 1 closed: "), "{events:?}");
        });
    }
}

#[test]
fn a_loss_is_reported_to_the_handler_once() {
    /// The results of several calls of a handler.
    type Results = Arc<Mutex<Vec<Option<ErrorKind>>>>;
    for way in ["write", "flush", "close", "read"] {
        run(Family::Tcp, async |world| {
            let (received, clock, written) =
                (Results::default(), world.clock.clone(), Written::default());
            let (results, writes) = (received.clone(), written.clone());
            let handler = async move |mut c: Connection| {
                *writes.lock().expect("no panic") = Some(stuff(&mut c.writer).await);
                clock.sleep(SECOND).await;
                for _ in 0..2 {
                    let result = match way {
                        "write" => c.writer.write_all(b"more").await,
                        "flush" => c.writer.flush().await,
                        "close" => c.writer.close().await,
                        _ => c.reader.read(&mut [0; 8]).await.map(drop),
                    };
                    let kind = result.err().map(|error| error.kind());
                    results.lock().expect("no panic").push(kind);
                }
                Ok(())
            };
            let served = world.serve(Server::default(), handler).await;
            let client = served.connect();
            so_much(&written).await;
            client.reset();
            world.pass(SECOND).await;
            assert_eq!(served.until_closed().await.len(), 1);
            let received = received.lock().expect("no panic").clone();
            let after = match way {
                "write" => Some(ErrorKind::BrokenPipe),
                // Not the end of input, which would look like success.
                "read" => Some(ErrorKind::ConnectionReset),
                _ => None,
            };
            assert_eq!(received, [Some(ErrorKind::ConnectionReset), after], "{way}");
        });
    }
}
