//! The tasks of a run: wakes, panics and drops.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_lite::{AsyncWriteExt, future};
use halves::Connection;
use halves::testing::{Failure, Sim, SimReader, SimWriter, Simulation};

const SECOND: Duration = Duration::from_secs(1);

/// Calls a function when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn failure<F>(simulation: &Simulation, test: impl Fn(Sim) -> F) -> Failure
where
    F: Future<Output = io::Result<()>>,
{
    simulation.try_run(test).expect_err("it fails")
}

/// The second task has the place of the first one in the list of tasks.
#[test]
fn a_wake_of_a_task_that_has_ended_reaches_no_other_task() {
    Simulation::builder().run(async |sim: Sim| {
        let ended: Rc<RefCell<Option<Waker>>> = Rc::default();
        let kept = ended.clone();
        sim.spawn(poll_fn(move |cx| {
            *kept.borrow_mut() = Some(cx.waker().clone());
            // Woken in its last poll.
            cx.waker().wake_by_ref();
            Poll::Ready(())
        }));
        sim.clock().sleep(SECOND).await;
        assert_eq!(sim.tasks(), 0);
        let polls = Rc::new(Cell::new(0));
        let counted = polls.clone();
        sim.spawn(poll_fn(move |_| {
            counted.set(counted.get() + 1);
            Poll::<()>::Pending
        }));
        sim.clock().sleep(SECOND).await;
        ended.take().expect("the waker of the first task").wake();
        sim.clock().sleep(SECOND).await;
        assert_eq!(polls.get(), 1);
        Ok(())
    });
}

#[test]
fn a_task_that_wakes_itself_without_end_reaches_the_limit_of_polls() {
    let simulation = Simulation::builder().seed(1).poll_limit(1000);
    let awake = failure(&simulation, async |_| {
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    });
    let problem = &awake.problem;
    assert!(
        problem.contains("not ended after 1000 polls, the last 1001 at the same time"),
        "{problem}"
    );
    // As many polls as the limit are enough.
    let sleeps = |count| {
        simulation.try_run(async |sim: Sim| {
            for _ in 0..count {
                sim.clock().sleep(SECOND).await;
            }
            Ok(())
        })
    };
    assert!(sleeps(1000).is_ok());
    assert!(
        sleeps(1001)
            .expect_err("one more")
            .problem
            .contains("the last 1 at")
    );
}

#[test]
fn a_wait_for_another_thread_is_explained() {
    let failure = failure(&Simulation::builder(), async |_| {
        smol::unblock(|| ()).await;
        pending().await
    });
    let problem = &failure.problem;
    assert!(problem.contains("such as another thread"), "{problem}");
}

#[test]
fn a_panic_of_a_task_is_in_the_trace_with_its_task() {
    let failure = failure(&Simulation::builder().seed(3), async |sim: Sim| {
        sim.spawn(async { panic!("in a task") });
        pending().await
    });
    assert_eq!((failure.seed, &*failure.problem), (3, "in a task"));
    let last = failure.trace.lines().last();
    assert_eq!(last, Some("     0.000000 task 1: panicked: in a task"));
}

/// The connections of a failing run are reset afterwards, which is not its cause.
#[test]
fn the_trace_of_a_failure_ends_with_its_cause() {
    let failure = failure(&Simulation::builder(), async |sim: Sim| {
        let _server = sim.serve("server", async |_| pending().await)?;
        let client = sim.connect("server").await?;
        sim.spawn(async move {
            let _client = client;
            pending::<()>().await;
        });
        sim.clock().sleep(SECOND).await;
        sim.note("the cause");
        Err(io::Error::other("no luck"))
    });
    assert!(failure.trace.ends_with("test:   the cause\n"), "{failure}");
}

#[test]
fn a_panic_while_tasks_are_dropped_is_a_failure_and_the_other_tasks_are_dropped() {
    let dropped = Rc::new(Cell::new(0));
    let simulation = Simulation::builder().seeds(5..6);
    let failed = failure(&simulation, async |sim: Sim| {
        for n in 0..3 {
            let dropped = dropped.clone();
            let held = OnDrop(move || {
                dropped.set(dropped.get() + 1);
                assert_ne!(n, 1, "in a drop");
            });
            sim.spawn(async move {
                let _held = held;
                pending::<()>().await;
            });
        }
        sim.clock().sleep(SECOND).await;
        Ok(())
    });
    assert_eq!(failed.seed, 5);
    assert!(failed.problem.contains("in a drop"), "{failed}");
    assert_eq!(dropped.get(), 3);

    // The test itself is dropped, too, if it has not ended.
    let test = failure(&simulation, async |sim: Sim| {
        let _held = OnDrop(|| panic!("in the drop of the test"));
        sim.spawn(async { panic!("first") });
        pending().await
    });
    assert_eq!(test.problem, "first");
}

#[test]
fn a_task_that_a_drop_spawns_is_dropped() {
    let dropped = Rc::new(Cell::new(0));
    Simulation::builder().seed(1).run(async |sim: Sim| {
        let (inner, dropped) = (sim.clone(), dropped.clone());
        let held = OnDrop(move || {
            let dropped = dropped.clone();
            let held = OnDrop(move || dropped.set(dropped.get() + 1));
            let kept = inner.clone();
            inner.spawn(async move { drop((held, kept)) });
        });
        sim.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        Ok(())
    });
    assert_eq!(dropped.get(), 1);
}

/// Spawns itself again when it is dropped.
struct Again(Sim);

impl Drop for Again {
    fn drop(&mut self) {
        spawn_again(&self.0);
    }
}

fn spawn_again(sim: &Sim) {
    let again = Again(sim.clone());
    sim.spawn(async move { drop(again) });
}

#[test]
fn drops_that_spawn_tasks_without_end_are_a_failure() {
    let failure = failure(&Simulation::builder(), async |sim: Sim| {
        spawn_again(&sim);
        Ok(())
    });
    assert!(failure.problem.contains("again and again"), "{failure}");
}

/// A count that each request reads, and stores after its answer.
async fn requests_that_overlap(sim: Sim, found: Rc<Cell<bool>>) -> io::Result<()> {
    let count = Rc::new(Cell::new(0));
    let handler = {
        let count = count.clone();
        async move |mut c: Connection<SimReader, SimWriter>| {
            while c.reader.line().await?.is_some() {
                let before = count.get();
                c.writer.write_all(b"done\n").await?;
                count.set(before + 1);
            }
            Ok(())
        }
    };
    let server = sim.serve("server", handler)?;
    let client = async || {
        let mut client = sim.connect("server").await?;
        for _ in 0..5 {
            client.writer.write_all(b"add\n").await?;
            client.reader.line().await?;
        }
        io::Result::Ok(())
    };
    future::try_zip(future::try_zip(client(), client()), client()).await?;
    server.shutdown().drain();
    server.wait_closed().await;
    found.set(found.get() || count.get() < 15);
    Ok(())
}

#[test]
fn the_requests_of_clients_overlap_with_the_default_faults() {
    let found = Rc::new(Cell::new(false));
    let simulation = Simulation::builder().seeds(0..100);
    simulation.run(|sim| requests_that_overlap(sim, found.clone()));
    assert!(found.get(), "no update was lost");
}
