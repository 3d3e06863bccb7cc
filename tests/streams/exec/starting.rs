//! Connections that end while their child starts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use futures_lite::future;
use halves::{Connection, Server};

use super::{Started, gone, sh};
use crate::support::harness::sockets::{self, Family, eventually};

/// Reads nothing and is not ended by its input.
const STAYS: &str = "exec sleep 1000";

#[test]
fn a_kill_during_the_start_leaves_no_child() {
    sockets::run(Family::Tcp, async |world| {
        let started = Started::default();
        let served = started.serve(&world, Server::default(), sh(STAYS)).await;
        let client = served.connect();
        eventually(|| served.handle.kill(1).then_some(())).await;
        let _ = client.rest().await;
        assert_eq!(served.until_closed().await, ["closed 1 killed"]);
    });
}

/// The server does not drop the future of such a child.
#[test]
fn a_child_of_a_task_of_the_handler_does_not_outlive_the_connection() {
    for (starts_late, in_order) in [(true, false), (true, true), (false, false), (false, true)] {
        sockets::run(Family::Tcp, async |world| {
            let started = Started::default();
            let (start, starts) = mpsc::channel();
            let starts = Arc::new(Mutex::new(starts));
            let asked = Arc::new(AtomicBool::new(false));
            let asks = asked.clone();
            let exec = started.of(sh(STAYS)).env_with(move |_| {
                asks.store(true, Ordering::Release);
                let _ = starts.lock().expect("no panic").recv();
                Vec::new()
            });
            let handler = async move |c: Connection| {
                thread::spawn(move || smol::block_on(exec.serve(c)));
                future::pending().await
            };
            let served = world.serve(Server::default(), handler).await;
            let client = served.connect();
            eventually(|| asked.load(Ordering::Acquire).then_some(())).await;
            if !starts_late {
                start.send(()).expect("it waits");
                started.id().await;
            }
            if in_order {
                assert!(served.handle.close(1));
            } else {
                assert!(served.handle.kill(1));
            }
            let _ = client.rest().await;
            let closed = if in_order {
                client.end();
                "closed 1 closed"
            } else {
                "closed 1 killed"
            };
            assert_eq!(served.until_closed().await, [closed]);
            // An error if it is not asked any more.
            let _ = start.send(());
            gone(started.id().await).await;
        });
    }
}
