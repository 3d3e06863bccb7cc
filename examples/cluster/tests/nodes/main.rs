//! Nodes as processes, with a Redis server of their own, and their clients in this process.

mod client;
#[path = "../../../../tests/support/place.rs"]
mod place;
mod processes;
#[path = "../../../../tests/support/skip.rs"]
mod skip;

use std::future::Future;
use std::io;
use std::ops::Range;
use std::time::Duration;

use futures_lite::future;
use halves::{Clock, Executor, connect};
use rustix::process::Signal;
use smol::Task;

use client::Client;
use processes::{Node, Redis};

/// Far longer than any wait in a test.
const TIMEOUT: Duration = Duration::from_secs(60);
const CLIENTS_OF_NODE: usize = 100;
const ALL_CLIENTS: usize = 2 * CLIENTS_OF_NODE;
const DOWN: &str = "* the link to the other nodes is down: messages may be missing";
const UP: &str = "* the link to the other nodes is up again";

#[test]
fn each_of_200_clients_receives_each_line_once_while_a_node_is_killed_and_restarted() {
    let test = "each_of_200_clients_receives_each_line_once_while_a_node_is_killed_and_restarted";
    let Some(redis) = Redis::start(test) else {
        return;
    };
    let (a, mut b) = (redis.node("a"), redis.node("b"));
    run(async |ex| {
        let _silent = connect(a.address()).await?;
        let mut watcher = Client::join("watcher".into(), &a.address()).await?;
        let (of_a, of_b) = (join(ex, "a", &a).await?, join(ex, "b", &b).await?);
        let (of_a, of_b) = talk_to_all(ex, of_a, of_b, 0..3).await?;

        let of_a = each(ex, of_a, |mut client| async move {
            client.talk(3..6, "two").await?;
            client.wait_for(CLIENTS_OF_NODE, "> two").await?;
            Ok(client)
        });
        let cut = each(ex, of_b, |mut client| async move {
            // The node may be gone already.
            let _ = client.talk(3..6, "cut").await;
            client.wait_for_the_end().await;
            Ok(client)
        });
        watcher.wait_for(1, "b50 4").await?;
        b.kill();
        let (of_a, _) = future::try_zip(all(of_a), all(cut)).await?;

        let b = redis.node("b");
        let of_b = join(ex, "b", &b).await?;
        let (of_a, of_b) = talk_to_all(ex, of_a, of_b, 6..9).await?;
        for client in &of_a {
            let received = client.received();
            assert_eq!(received.len(), ALL_CLIENTS);
            for (name, numbers) in received {
                let of_a: Vec<_> = (0..9).collect();
                // Lines that the killed node had not published are the last of the second part.
                let of_b: Vec<_> = (0..numbers.len() as u32 - 3).chain(6..9).collect();
                assert_eq!(numbers, if name.starts_with('a') { of_a } else { of_b });
            }
        }
        for client in &of_b {
            let received = client.received();
            assert_eq!(received.len(), ALL_CLIENTS);
            assert!(received.values().all(|n| n.ends_with(&[6, 7, 8])));
        }
        let mut lines = of_a.iter().chain(&of_b).flat_map(|client| &client.lines);
        assert!(!lines.any(|line| line.starts_with('*')), "there is no gap");
        Ok(())
    });
}

#[test]
fn each_loss_of_200_clients_is_announced_when_redis_restarts() {
    let test = "each_loss_of_200_clients_is_announced_when_redis_restarts";
    let Some(mut redis) = Redis::start(test) else {
        return;
    };
    let (a, b) = (redis.node("a"), redis.node("b"));
    run(async |ex| {
        let mut watcher = Client::join("watcher".into(), &a.address()).await?;
        let (of_a, of_b) = (join(ex, "a", &a).await?, join(ex, "b", &b).await?);
        let (of_a, of_b) = talk_to_all(ex, of_a, of_b, 0..3).await?;

        let talk = |mut client: Client| async move {
            client.talk(3..6, "cut").await?;
            client.wait_for(1, DOWN).await?;
            // These wait in the node, or in the sockets of the clients.
            client.talk(6..9, "late").await?;
            Ok(client)
        };
        let (of_a, of_b) = (each(ex, of_a, talk), each(ex, of_b, talk));
        watcher.wait_for(1, "b50 4").await?;
        redis.kill();
        let (of_a, of_b) = future::try_zip(all(of_a), all(of_b)).await?;

        // The second node is late, and loses lines.
        b.signal(Signal::STOP);
        redis.start_again();
        let of_a = each(ex, of_a, |mut client| async move {
            client.wait_for(1, UP).await?;
            client.wait_for(CLIENTS_OF_NODE, "> late").await?;
            Ok(client)
        });
        let of_a = all(of_a).await?;
        b.signal(Signal::CONT);
        let of_b = each(ex, of_b, |mut client| async move {
            client.wait_for(1, UP).await?;
            Ok(client)
        });
        let of_b = all(of_b).await?;
        let (of_a, of_b) = talk_to_all(ex, of_a, of_b, 9..12).await?;
        check_losses(&of_a, "a", "b");
        check_losses(&of_b, "b", "a");
        let late = 4 * CLIENTS_OF_NODE;
        assert!(of_b.iter().all(|client| client.lost("a") >= late));
        Ok(())
    });
}

/// Clients have all lines of their own node. The lines that they lack of the other are announced.
fn check_losses(clients: &[Client], own: &str, other: &str) {
    for client in clients {
        assert_eq!(client.lost(own), 0);
        let mut missing = 0;
        for (name, numbers) in client.received() {
            assert!(numbers.is_sorted_by(|a, b| a < b), "{name}: {numbers:?}");
            missing += usize::from(name.starts_with(other)) * (12 - numbers.len());
            assert!(name.starts_with(other) || numbers.len() == 12, "{name}");
        }
        let sender = format!("<{other}-");
        let marks = client.lines.iter().filter(|line| {
            line.starts_with(&sender) && (line.ends_with("> cut") || line.ends_with("> late"))
        });
        missing += 2 * CLIENTS_OF_NODE - marks.count();
        assert_eq!(client.lost(other), missing);
    }
}

#[test]
fn lines_that_redis_has_taken_late_are_not_repeated() {
    let test = "lines_that_redis_has_taken_late_are_not_repeated";
    let Some(redis) = Redis::start(test) else {
        return;
    };
    let (a, b) = (redis.node("a"), redis.node("b"));
    run(async |_| {
        let mut talker = Client::join("a0".into(), &a.address()).await?;
        let mut listener = Client::join("b0".into(), &b.address()).await?;
        redis.signal(Signal::STOP);
        talker.talk(0..3, "mark").await?;
        // The request has timed out. Redis still reads it, and then its repetition.
        talker.wait_for(1, DOWN).await?;
        redis.signal(Signal::CONT);
        talker.wait_for(1, UP).await?;
        talker.talk(3..5, "end").await?;
        for client in [&mut talker, &mut listener] {
            client.wait_for(1, "> end").await?;
            assert_eq!(client.received()["a0"], [0, 1, 2, 3, 4], "{}", client.name);
        }
        Ok(())
    });
}

#[test]
fn a_drain_publishes_the_last_lines() {
    let Some(redis) = Redis::start("a_drain_publishes_the_last_lines") else {
        return;
    };
    let (mut a, b) = (redis.node("a"), redis.node("b"));
    run(async |_| {
        let mut talker = Client::join("a0".into(), &a.address()).await?;
        let mut listener = Client::join("b0".into(), &b.address()).await?;
        talker.talk(0..5, "last").await?;
        a.signal(Signal::TERM);
        listener.wait_for(1, "> last").await?;
        talker.wait_for_the_end().await;
        assert_eq!(a.ended().0, Some(0));
        Ok(())
    });
}

#[test]
fn a_drain_without_redis_reports_that_lines_are_not_published() {
    let test = "a_drain_without_redis_reports_that_lines_are_not_published";
    let Some(mut redis) = Redis::start(test) else {
        return;
    };
    let mut a = redis.node("a");
    run(async |_| {
        let mut talker = Client::join("a0".into(), &a.address()).await?;
        redis.kill();
        talker.wait_for(1, DOWN).await?;
        talker.talk(0..5, "last").await?;
        a.signal(Signal::TERM);
        talker.wait_for_the_end().await;
        let (code, log) = a.ended();
        assert_eq!(code, Some(1));
        assert!(log.contains("the last lines are not published"), "{log}");
        Ok(())
    });
}

#[test]
fn a_node_that_waits_for_redis_ends_at_a_signal() {
    let test = "a_node_that_waits_for_redis_ends_at_a_signal";
    let Some(mut redis) = Redis::start(test) else {
        return;
    };
    redis.kill();
    let mut node = redis.node_without_link("a");
    node.wait_for_log("next attempt in");
    node.signal(Signal::TERM);
    assert_eq!(node.ended().0, Some(0));
}

/// Runs a test, with an executor for its clients.
fn run(test: impl AsyncFnOnce(&Executor) -> io::Result<()>) {
    let ex = Executor::new();
    let clock = Clock::default();
    let ended = clock.timeout(TIMEOUT, test(&ex));
    ex.block_on(ended).expect("in time").expect("no error");
}

/// Starts a task for each client.
fn each<F>(ex: &Executor, clients: Vec<Client>, act: impl Fn(Client) -> F) -> Vec<Task<F::Output>>
where
    F: Future<Output = io::Result<Client>> + Send + 'static,
{
    clients
        .into_iter()
        .map(|client| ex.spawn(act(client)))
        .collect()
}

/// Waits for all clients.
async fn all(tasks: Vec<Task<io::Result<Client>>>) -> io::Result<Vec<Client>> {
    let mut clients = Vec::new();
    for task in tasks {
        clients.push(task.await?);
    }
    Ok(clients)
}

async fn join(ex: &Executor, name: &str, node: &Node) -> io::Result<Vec<Client>> {
    let joining = (0..CLIENTS_OF_NODE).map(|number| {
        let (name, address) = (format!("{name}{number}"), node.address());
        ex.spawn(async move { Client::join(name, &address).await })
    });
    all(joining.collect()).await
}

/// All clients talk at the same time, and receive all lines of all.
async fn talk_to_all(
    ex: &Executor,
    of_a: Vec<Client>,
    of_b: Vec<Client>,
    numbers: Range<u32>,
) -> io::Result<(Vec<Client>, Vec<Client>)> {
    let mark = format!("said-{}", numbers.end);
    let talk = |mut client: Client| {
        let (numbers, mark) = (numbers.clone(), mark.clone());
        async move {
            client.talk(numbers, &mark).await?;
            client.wait_for(ALL_CLIENTS, &format!("> {mark}")).await?;
            Ok(client)
        }
    };
    let (of_a, of_b) = (each(ex, of_a, talk), each(ex, of_b, talk));
    future::try_zip(all(of_a), all(of_b)).await
}
