//! Defects that the scripts of `invariants` have found, each in a script of its own.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use halves::testing::{Faults, Simulation};
use halves::{Connection, service};

#[test]
fn a_limit_that_is_lowered_while_the_listener_waits_holds_for_the_next_client() {
    let second = Duration::from_secs(1);
    Simulation::builder()
        .faults(Faults::none())
        .seeds(0..10)
        .run(|sim| async move {
            let running = Rc::new(Cell::new(0));
            let handler = {
                let running = running.clone();
                async move |Connection { reader, writer, .. }: Connection<_, _>| {
                    running.set(running.get() + 1);
                    service::echo(reader, writer).await
                }
            };
            let server = sim.serve("server", handler)?;
            let first = sim.connect("server").await?;
            sim.clock().sleep(second).await;
            server.set_max_connections(1);
            let other = sim.connect("server").await?;
            sim.clock().sleep(second).await;
            assert_eq!(running.get(), 1, "the other client waits");
            drop(first);
            sim.clock().sleep(second).await;
            assert_eq!(running.get(), 2, "it is accepted when there is room");
            drop(other);
            server.shutdown().drain();
            server.wait_closed().await;
            Ok(())
        });
}
