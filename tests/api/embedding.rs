//! Servers in a larger program: several at once, beside other tasks, dropped at any time.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::net::TcpStream;
use std::num::NonZero;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory::{self, MemoryConnection};
use halves::service::{echo, upper};
use halves::{Clock, Connection, Executor, Handle, Reason, Report, Server, Shutdown};
use smol::{LocalExecutor, Task, channel};

use crate::support::harness::script::uppercase;
use crate::support::harness::{Drops, Served, World};

const SECOND: Duration = Duration::from_secs(1);

/// Sends a greeting, reads the answer, ends.
async fn greet(mut client: MemoryConnection) -> io::Result<String> {
    client.writer.write_all(b"hello").await?;
    client.writer.close().await?;
    let mut answer = String::new();
    client.reader.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Returns true if the stream ends with a reset. Panics if there is no end without waiting.
fn is_reset(client: &mut MemoryConnection) -> bool {
    let mut received = Vec::new();
    let reading = client.reader.read_to_end(&mut received);
    let end = future::block_on(future::poll_once(reading)).expect("an end");
    end.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

#[test]
fn several_servers_share_a_thread_and_a_shutdown() {
    let world = World::new();
    let shutdown = Shutdown::default();
    let servers: Vec<_> = (0..3)
        .map(|_| {
            let server = Server::default().shutdown(shutdown.clone());
            world.serve_memory(server, uppercase)
        })
        .collect();
    let mut stays = Vec::new();
    for (n, (served, connector)) in servers.iter().enumerate() {
        for _ in 0..=n {
            let answer = world.now(greet(world.connect(connector)));
            assert_eq!(answer.expect("it is served"), "HELLO");
        }
        assert_eq!(
            served.handle.stats().accepted,
            n as u64 + 1,
            "each counts its own"
        );
        stays.push(world.connect(connector));
    }
    servers[1].0.handle.abort_clients();
    world.settle();
    let open = servers.iter().map(|(served, _)| served.handle.stats().open);
    assert_eq!(open.collect::<Vec<_>>(), [1, 0, 1]);
    shutdown.drain();
    world.settle();
    drop(stays);
    for (n, (served, _)) in servers.into_iter().enumerate() {
        let report = world.report(served);
        assert_eq!((report.finished, report.aborted), (usize::from(n != 1), 0));
    }
}

#[test]
fn several_servers_share_two_threads_and_a_shutdown() -> io::Result<()> {
    const SERVERS: usize = 4;
    const CLIENTS: usize = 50;
    let ex = Executor::threads(NonZero::new(2).expect("it is not 0"));
    let shutdown = Shutdown::default();
    let mut connectors = Vec::new();
    let servings: Vec<Task<io::Result<Report>>> = (0..SERVERS)
        .map(|_| {
            let (listener, connector) = memory::listener(16);
            connectors.push(connector);
            let server = Server::default().shutdown(shutdown.clone());
            ex.spawn(server.serve(ex.clone(), listener, uppercase))
        })
        .collect();
    ex.block_on(async {
        let clients: Vec<_> = (0..SERVERS * CLIENTS)
            .map(|n| {
                let connector = connectors[n % SERVERS].clone();
                ex.spawn(async move { greet(connector.connect().await?).await })
            })
            .collect();
        for client in clients {
            assert_eq!(client.await?, "HELLO");
        }
        shutdown.drain();
        for serving in servings {
            assert_eq!(serving.await?.stats.ended[Reason::Eof], CLIENTS as u64);
        }
        Ok(())
    })
}

#[test]
fn a_server_is_one_task_of_a_smol_program_that_goes_on_after_it() -> io::Result<()> {
    let ex = LocalExecutor::new();
    let ticks = Rc::new(Cell::new(0));
    let counted = ticks.clone();
    let other = ex.spawn(async move {
        loop {
            counted.set(counted.get() + 1);
            smol::Timer::after(Duration::from_millis(1)).await;
        }
    });
    smol::block_on(ex.run(async {
        let listener = halves::bind("127.0.0.1:0").await?;
        let address = listener.local_addrs()[0].socket_addr().expect("it is TCP");
        let server = Server::default();
        let handle = server.handle();
        let handler = async |c: Connection| upper(c.reader, c.writer).await;
        let client = async {
            let mut client = halves::connect(address).await?;
            client.writer.write_all(b"hello").await?;
            client.writer.close().await?;
            let mut answer = String::new();
            client.reader.read_to_string(&mut answer).await?;
            handle.shutdown().drain();
            io::Result::Ok(answer)
        };
        let (report, answer) =
            future::try_zip(server.serve(&ex, listener, handler), client).await?;
        assert_eq!((report.stats.ended[Reason::Eof], &*answer), (1, "HELLO"));
        let before = ticks.get();
        while ticks.get() < before + 3 {
            future::yield_now().await;
        }
        other.cancel().await;
        assert!(ex.is_empty(), "the server has left nothing behind");
        Ok(())
    }))
}

/// Obeys the first byte: `h`andshake, `w`rite and block, `r`eturn; otherwise stay.
async fn obedient(mut c: MemoryConnection) -> io::Result<()> {
    let mut order = [0];
    c.reader.read_exact(&mut order).await?;
    match &order {
        b"h" => {
            let _handshake = c.peer.handshake();
            pending().await
        }
        b"w" => c.writer.write_all(&[b'x'; 1000]).await,
        b"r" => Ok(()),
        _ => pending().await,
    }
}

#[test]
fn dropping_the_serving_future_ends_connections_in_every_phase() {
    let world = World::new();
    let (listener, connector) = memory::listener(100);
    let served = world.serve(Server::default(), listener, obedient);
    let order = |first: &str| {
        let mut client = world.connect(&connector);
        future::block_on(client.writer.write_all(first.as_bytes())).expect("it fits");
        world.settle();
        client
    };
    let mut cut = ["h", "w", "s", ""]
        .map(order)
        .into_iter()
        .collect::<Vec<_>>();
    let mut lingers = order("r");
    cut.push(future::block_on(connector.connect()).expect("it listens"));
    while served.handle.stats().accepted < 6 {
        assert!(world.ex.try_tick());
    }
    // The task of the last one has not run yet.
    let Served {
        serving, handle, ..
    } = served;
    future::block_on(future::poll_once(serving.cancel()));
    while handle.is_ready() {
        assert!(world.ex.try_tick());
    }
    assert!(cut.iter_mut().all(is_reset));
    assert_eq!(
        future::block_on(lingers.reader.read(&mut [0])).expect("an end"),
        0
    );
    assert!(
        future::block_on(connector.connect()).is_err(),
        "no listener is there"
    );
    world.settle();
    let ended = handle.stats().ended;
    assert_eq!((ended[Reason::Aborted], ended[Reason::Handler]), (5, 1));
    assert!(handle.connections().is_empty() && !handle.kill(1));
    assert!(!world.manual.advance_to_next(), "no task sleeps");
}

#[test]
fn dropping_the_serving_future_closes_its_sockets() -> io::Result<()> {
    let ex = Rc::new(LocalExecutor::new());
    smol::block_on(ex.run(async {
        let listener = halves::bind("127.0.0.1:0").await?;
        let address = listener.local_addrs()[0].socket_addr().expect("it is TCP");
        let server = Server::default();
        let handle = server.handle();
        let handler = async |c: Connection| echo(c.reader, c.writer).await;
        let serving = ex.spawn(server.serve(ex.clone(), listener, handler));
        let mut clients = Vec::new();
        for _ in 0..10 {
            let mut client = halves::connect(address).await?;
            client.writer.write_all(b"x").await?;
            client.reader.read_exact(&mut [0]).await?;
            clients.push(client);
        }
        assert!(serving.cancel().await.is_none());
        let refused = TcpStream::connect(address).expect_err("no listener is there");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        for mut client in clients {
            let end = client.reader.read(&mut [0]).await.expect_err("a reset");
            assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
        }
        while handle.stats().open > 0 {
            future::yield_now().await;
        }
        assert_eq!(handle.stats().ended[Reason::Aborted], 10);
        Ok(())
    }))
}

#[test]
fn dropping_a_serving_future_that_was_never_polled_closes_the_listener() {
    let (listener, connector) = memory::listener(1);
    let ex = LocalExecutor::new();
    let server = Server::default();
    let handle = server.handle();
    drop(server.serve(&ex, listener, uppercase));
    assert!(future::block_on(connector.connect()).is_err());
    assert!(!handle.is_ready());
}

/// A server with handlers that pass each half to a task of its own, and wait for both.
fn serve_split(world: &World, drops: &Drops) -> (Served, memory::Connector) {
    let (ex, dropped) = (world.ex.clone(), drops.clone());
    let handler = async move |c: MemoryConnection| {
        let (sender, receiver) = channel::bounded::<u8>(1);
        let (mut reader, mut writer) = (c.reader, c.writer);
        let (read, written) = (dropped.guard(), dropped.guard());
        let tasks = Rc::new(RefCell::new(0));
        let done = tasks.clone();
        ex.spawn(async move {
            let _guard = read;
            let mut byte = [0];
            while matches!(reader.read(&mut byte).await, Ok(1)) {
                let _ = sender.send(byte[0]).await;
            }
            *done.borrow_mut() += 1;
        })
        .detach();
        let writing = async move {
            let _guard = written;
            while let Ok(byte) = receiver.recv().await {
                writer.write_all(&[byte.to_ascii_uppercase()]).await?;
            }
            io::Result::Ok(())
        };
        ex.spawn(writing).await?;
        assert_eq!(*tasks.borrow(), 1, "the reader ends first");
        Ok(())
    };
    world.serve_memory(Server::default(), handler)
}

#[test]
fn a_handler_may_give_its_halves_to_other_tasks() {
    let world = World::new();
    let drops = Drops::default();
    let (served, connector) = serve_split(&world, &drops);
    let answer = world.now(greet(world.connect(&connector)));
    assert_eq!(answer.expect("it is served"), "HELLO");
    world.settle();
    assert_eq!(served.events(), ["closed 1 eof"]);
    assert_eq!(drops.count(), 2);
}

#[test]
fn tasks_with_halves_end_however_their_connection_is_ended() {
    type End = fn(&Handle);
    let ends: [(&str, End); 4] = [
        ("killed", |handle| assert!(handle.kill(1))),
        ("aborted", Handle::abort_clients),
        ("closed", Handle::close_clients),
        ("aborted", |handle| handle.shutdown().abort()),
    ];
    for (reason, end) in ends {
        let world = World::new();
        let drops = Drops::default();
        let (served, connector) = serve_split(&world, &drops);
        let client = world.connect(&connector);
        world.settle();
        end(&served.handle);
        world.pass(SECOND * 2);
        assert_eq!(served.handle.stats().open, 0, "{reason}");
        assert_eq!(drops.count(), 2, "{reason}");
        let events = served.events();
        assert!(events.contains(&format!("closed 1 {reason}")), "{events:?}");
        drop(client);
    }
}

#[test]
fn tasks_with_halves_end_when_the_serving_future_is_dropped() {
    let world = World::new();
    let drops = Drops::default();
    let (served, connector) = serve_split(&world, &drops);
    let mut client = world.connect(&connector);
    world.settle();
    drop(served);
    world.settle();
    assert!(is_reset(&mut client));
    assert_eq!(drops.count(), 2);
}

#[test]
fn a_task_with_a_half_of_a_socket_ends_though_its_peer_stays() -> io::Result<()> {
    let ex = Rc::new(LocalExecutor::new());
    let (clock, _manual) = Clock::manual();
    smol::block_on(ex.run(async {
        let listener = halves::bind("127.0.0.1:0").await?;
        let address = listener.local_addrs()[0].socket_addr().expect("it is TCP");
        let server = Server::default().clock(clock);
        let handle = server.handle();
        let (spawner, (sender, read)) = (ex.clone(), channel::bounded(1));
        let handler = async move |mut c: Connection| {
            let reading = async move { sender.send(c.reader.read(&mut [0]).await).await };
            spawner.spawn(reading).detach();
            pending().await
        };
        let _serving = ex.spawn(server.serve(ex.clone(), listener, handler));
        let _stays = halves::connect(address).await?;
        while handle.stats().open == 0 {
            future::yield_now().await;
        }
        handle.close_clients();
        let patience = async {
            smol::Timer::after(SECOND * 10).await;
            panic!("it still waits");
        };
        let read = future::or(read.recv(), patience).await.expect("it is sent");
        let refused = read.expect_err("the connection is over");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionAborted);
        Ok(())
    }))
}
