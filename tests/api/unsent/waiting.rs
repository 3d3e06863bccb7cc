//! Several tasks that wait for unsent bytes do not hold up each other.

use std::net::TcpListener;
use std::os::fd::OwnedFd;

use super::*;
use futures_lite::future::{poll_once, yield_now};
use halves::{Listeners, Timeouts};
use rustix::net::sockopt;

use crate::support::harness::sockets::run;
use crate::support::place;

#[test]
fn a_task_that_keeps_writing_does_not_delay_its_end() {
    run(Family::Tcp, async |world| {
        let (written, ex) = (Written::default(), world.ex.clone());
        let (wrote, (sender, receiver)) = (written.clone(), smol::channel::unbounded());
        let handler = async move |mut c: Connection| {
            *wrote.lock().expect("no panic") = Some(stuff(&mut c.writer).await);
            let goes_on = async move {
                while c.writer.write_all(&[b'x'; 3000]).await.is_ok() {}
                sender.try_send(()).expect("received");
            };
            ex.spawn(goes_on).detach();
            Ok(())
        };
        // So little room that the task fills it whenever there is some.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        sockopt::set_socket_send_buffer_size(&listener, 1).expect("set");
        let listeners = Listeners::try_from(OwnedFd::from(listener)).expect("it listens");
        let dir = place::dir();
        let served = world.serve_on(listeners, dir, Server::default(), handler);
        let client = served.connect();
        let n = so_much(&written).await;
        world.settle().await;
        let mut received = 0;
        loop {
            let more = eventually(|| client.try_take(3000))
                .await
                .expect("no reset");
            received += more.len();
            if more.is_empty() {
                break;
            }
            assert!(received < n + (1 << 22), "it goes on and on");
        }
        assert_eq!(served.until_closed().await, ["closed 1 handler"]);
        receiver.recv().await.expect("it has noticed the end");
    });
}

/// If they shared a waker slot, only the last one would be woken.
#[test]
fn a_task_that_flushes_and_the_end_are_both_woken() {
    for family in FAMILIES {
        run(family, async |world| {
            let (written, ex) = (Written::default(), world.ex.clone());
            let (wrote, (sender, receiver)) = (written.clone(), smol::channel::unbounded());
            let handler = async move |mut c: Connection| {
                *wrote.lock().expect("no panic") = Some(stuff(&mut c.writer).await);
                let flushes = async move {
                    // Also once the end waits.
                    for _ in 0..20 {
                        let _ = poll_once(c.writer.flush()).await;
                        yield_now().await;
                    }
                    sender.try_send(c.writer.flush().await).expect("received");
                };
                ex.spawn(flushes).detach();
                Ok(())
            };
            let served = world.serve(Server::default(), handler).await;
            let client = served.connect();
            let n = so_much(&written).await;
            world.settle().await;
            assert_bytes(0, &client.take(n).await);
            let (rest, end) = client.rest().await;
            assert!(
                rest.is_empty() && end.is_ok(),
                "the whole answer is received"
            );
            let flushed = receiver.recv().await.expect("so has the task");
            assert!(flushed.is_ok(), "{flushed:?}");
            drop(client);
            assert_eq!(served.until_closed().await, ["closed 1 handler"]);
        });
    }
}

#[test]
fn a_client_is_not_slow_while_a_flush_waits_for_it() {
    for way in [Then::Flushes, Then::Closes] {
        run(Family::Tcp, async |world| {
            let written = Written::default();
            let sender = written.clone();
            let handler = async move |mut c: Connection| {
                c.reader.read_exact(&mut [0; 10]).await?;
                *sender.lock().expect("no panic") = Some(stuff(&mut c.writer).await);
                match way {
                    Then::Flushes => c.writer.flush().await?,
                    _ => c.writer.close().await?,
                }
                c.reader.read_to_end(&mut Vec::new()).await.map(drop)
            };
            let server = Server::default().timeouts(Timeouts::default().min_rate(1000));
            let served = world.serve(server, handler).await;
            let client = served.connect();
            client.send(b"ten bytes!");
            let n = so_much(&written).await;
            for _ in 0..20 {
                world.pass(SECOND).await;
            }
            assert_eq!(served.events(), [""; 0]);
            assert_bytes(0, &client.take(n).await);
            // From now on it is slow.
            client.send(b"ten more !");
            for _ in 0..11 {
                world.pass(SECOND).await;
            }
            assert_eq!(served.events(), ["closed 1 min_rate"]);
        });
    }
}
