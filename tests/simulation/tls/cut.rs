//! An end of the stream at every place: without `close_notify` it is never the end of the payload.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use halves::Reason;
use halves::testing::{Faults, Sim, SimReader, SimWriter, Simulation};
use halves::tls::TlsConnection;

use super::both_ends;
use crate::exchange::{Exchanged, exchange};
use crate::support::tls_ends::Ends;

/// The payload of each direction.
const BYTES: usize = 100;
/// The last bytes of a direction are its `close_notify`. It is cut at every place.
const LAST_BYTES: u64 = 28;
/// The distance of the places before that.
const STEP: usize = 23;

/// The results of both ends of one connection. None before the handshake is complete.
#[derive(Default)]
struct Results {
    near: Option<Exchanged>,
    far: Option<Exchanged>,
    /// The reason of the server.
    reason: Option<Reason>,
}

async fn connect(sim: Sim, ends: Ends, results: Rc<RefCell<Results>>) -> io::Result<()> {
    let handler = {
        let (sim, results) = (sim.clone(), results.clone());
        async move |mut c: TlsConnection<SimReader, SimWriter>| {
            let exchanged = exchange(&sim, &mut c, vec![1; BYTES]).await;
            let failed = exchanged.read.as_ref().err().map(io::Error::kind);
            results.borrow_mut().far = Some(exchanged);
            failed.map_or(Ok(()), |kind| Err(kind.into()))
        }
    };
    let server = sim.serve("tls", ends.acceptor.wrap(handler))?;
    let client = sim.connect("tls").await?;
    if let Ok(mut client) = ends.connector.handshake(client, "localhost").await {
        let exchanged = exchange(&sim, &mut client, vec![2; BYTES]).await;
        results.borrow_mut().near = Some(exchanged);
    }
    server.shutdown().drain();
    server.wait_closed().await;
    let ended = server.stats().ended;
    let reason = Reason::ALL.iter().find(|&&reason| ended[reason] > 0);
    results.borrow_mut().reason = reason.copied();
    Ok(())
}

/// Runs a connection. Returns the results, and the bytes of the wire up and down.
fn run(ends: &Ends, faults: Faults) -> (Results, [u64; 2]) {
    let results = Rc::<RefCell<Results>>::default();
    let simulation = Simulation::builder().seed(1).faults(faults).keep_trace();
    let summary = simulation.try_run(|sim| connect(sim, ends.without_sessions(), results.clone()));
    let trace = summary.expect("no failure").trace;
    let wire = ["up wrote ", "down wrote "].map(|wrote| {
        let sizes = trace.lines().filter_map(|line| line.split_once(wrote));
        sizes
            .map(|(_, size)| size.parse::<u64>().expect("a size"))
            .sum()
    });
    (results.take(), wire)
}

#[test]
fn an_end_at_any_place_is_found() {
    for ends in both_ends() {
        let (whole, [up, down]) = run(ends, Faults::none());
        assert_eq!(whole.reason, Some(Reason::Eof));
        let some = (0..up.max(down)).step_by(STEP);
        let last = [up, down].map(|wire| wire - LAST_BYTES..wire + 2);
        let places = some.chain(last.into_iter().flatten());
        for at in places {
            let faults = Faults::none().ends(1.0).offsets(at..at + 1);
            let (results, _) = run(ends, faults);
            let Results { near, far, reason } = results;
            let (near, far) = (near.as_ref(), far.as_ref());
            let nears = near.is_some_and(|near| near.read.is_ok() && near.written.is_ok());
            assert_eq!(
                nears,
                at >= up && at >= down,
                "the client, cut at {at} of {up} and {down}: {near:?}"
            );
            let fars = far.is_some_and(|far| far.read.is_ok());
            let is_sent = near.is_some_and(|near| near.written.is_ok());
            assert_eq!(fars, is_sent, "the server, cut at {at} of {up} and {down}");
            if let Some(far) = far {
                far.check_from(near);
            }
            let reason = reason.expect("it has ended");
            let expected = match far.map(|far| &far.read) {
                None => &[Reason::Tls, Reason::Error][..],
                Some(Err(_)) => &[Reason::Truncated],
                Some(Ok(())) => &[Reason::Eof, Reason::Error],
            };
            assert!(expected.contains(&reason), "{reason}, cut at {at}");
        }
    }
}
