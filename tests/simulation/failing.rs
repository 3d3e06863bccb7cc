//! Runs that fail, and their reports.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::Connection;
use halves::service::echo;
use halves::testing::{Failure, Faults, Sim, Simulation};

fn failure<F>(simulation: &Simulation, test: impl Fn(Sim) -> F) -> Failure
where
    F: Future<Output = io::Result<()>>,
{
    simulation.try_run(test).expect_err("it fails")
}

#[test]
fn an_error_a_panic_and_a_wait_without_end_are_failures() {
    let simulation = Simulation::builder().seed(3);
    let error = failure(&simulation, async |_| Err(io::Error::other("no luck")));
    assert_eq!((error.seed, &*error.problem), (3, "no luck"));
    let panic = failure(&simulation, async |_| panic!("at once"));
    assert_eq!(panic.problem, "at once");
    let spawned = failure(&simulation, async |sim: Sim| {
        sim.spawn(async { panic!("in a task") });
        sim.clock().sleep(Duration::from_secs(1)).await;
        Ok(())
    });
    assert_eq!(spawned.problem, "in a task");
    let stuck = failure(&simulation, async |_| std::future::pending().await);
    assert!(stuck.problem.contains("every task waits"), "{stuck}");
}

#[test]
fn a_panic_of_a_handler_is_a_failure() {
    let failure = failure(&Simulation::builder(), async |sim: Sim| {
        sim.serve("server", async |_| panic!("in a handler"))?;
        let mut client = sim.connect("server").await?;
        let _ = client.reader.read(&mut [0]).await;
        Ok(())
    });
    assert_eq!(failure.problem, "a handler panicked: in a handler");
    assert!(
        failure.trace.contains("server: closed 1, panic"),
        "{failure}"
    );
}

#[test]
fn a_run_has_a_longest_time_and_a_most_of_polls() {
    let simulation = Simulation::builder()
        .seed(1)
        .time_limit(Duration::from_mins(1));
    let slow = failure(&simulation, async |sim: Sim| {
        loop {
            sim.clock().sleep(Duration::from_secs(1)).await;
        }
    });
    assert!(slow.problem.contains("not ended after 60s"), "{slow}");
    assert_eq!(slow.time, Duration::from_secs(61));
}

/// A server of locks with a defect: a client that ends keeps its lock if another one waits.
async fn lost_lock(sim: Sim) -> io::Result<()> {
    let locked = Rc::new(Cell::new(false));
    let handler = {
        let locked = locked.clone();
        async move |mut c: Connection<_, _>| {
            while let Some(line) = c.reader.line().await? {
                match &line[..] {
                    b"lock\n" => locked.set(true),
                    b"unlock\n" => locked.set(false),
                    _ => {}
                }
                c.writer.write_all(b"ok\n").await?;
            }
            Ok(())
        }
    };
    let server = sim.serve("locks", handler)?;
    for _ in 0..5 {
        let client = async {
            let mut client = sim.connect("locks").await?;
            for request in ["lock\n", "unlock\n"] {
                client.writer.write_all(request.as_bytes()).await?;
                client.reader.line().await?;
            }
            io::Result::Ok(())
        };
        let timeout = Duration::from_mins(1);
        let _ = sim.clock().timeout(timeout, client).await;
    }
    server.shutdown().drain();
    server.wait_closed().await;
    if locked.get() {
        return Err(io::Error::other("a lock is left"));
    }
    Ok(())
}

#[test]
fn the_faults_of_a_failure_are_few_and_repeat_it() {
    let faults = Faults::all().offsets(0..12);
    let simulation = Simulation::builder().faults(faults.clone());
    let failure = simulation.try_run(lost_lock).expect_err("it finds it");
    assert_eq!(failure.problem, "a lock is left");
    assert_eq!(failure.faults.len(), 1, "{failure}");
    let text = failure.to_string();
    assert!(text.contains(&format!(".seed({})", failure.seed)), "{text}");
    assert!(text.contains(&format!("{:?}", failure.faults[0])), "{text}");

    let same = Simulation::builder().seed(failure.seed).faults(faults);
    let again = same.clone().only(failure.faults.clone()).try_run(lost_lock);
    let again = again.expect_err("it fails again");
    assert_eq!(again.trace, failure.trace);
    let without = same.only(Vec::<String>::new()).try_run(lost_lock);
    assert!(without.is_ok(), "the fault is the cause");
}

/// Two tasks that do not wait for each other: both orders are found.
#[test]
fn every_order_of_two_tasks_is_found() {
    let orders = RefCell::new(BTreeSet::new());
    Simulation::builder().run(async |sim: Sim| {
        let order = Rc::new(RefCell::new(Vec::new()));
        for n in 0..3 {
            let order = order.clone();
            sim.spawn(async move { order.borrow_mut().push(n) });
        }
        sim.clock().sleep(Duration::from_secs(1)).await;
        orders.borrow_mut().insert(order.take());
        Ok(())
    });
    assert_eq!(orders.borrow().len(), 6, "{orders:?}");
}

/// Counts its drops.
struct CountDrop(Rc<Cell<u32>>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn tasks_that_are_left_are_dropped() {
    let dropped = Rc::new(Cell::new(0));
    Simulation::builder().seeds(0..10).run(async |sim: Sim| {
        let count = CountDrop(dropped.clone());
        sim.serve("server", async |Connection { reader, writer, .. }| {
            echo(reader, writer).await
        })?;
        sim.spawn(async move {
            let _count = count;
            std::future::pending::<()>().await;
        });
        sim.connect("server").await.map(drop)
    });
    assert_eq!(dropped.get(), 10);
}
