//! Races of attempts that the test ends, on a clock that it moves.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::pin::pin;
use std::rc::Rc;

use futures_lite::future;
use smol::block_on;

use super::*;
use crate::time::ManualClock;

const V6: [&str; 3] = ["[2001:db8::1]:7", "[2001:db8::2]:7", "[2001:db8::3]:7"];
const V4: [&str; 2] = ["192.0.2.1:7", "192.0.2.2:7"];

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    let parsed = texts.iter().map(|text| text.parse().expect("an address"));
    parsed.collect()
}

/// Attempts that end when the test says how.
#[derive(Clone, Default)]
struct Network {
    /// The addresses of the attempts so far.
    begun: Rc<RefCell<Vec<String>>>,
    open: Rc<RefCell<Vec<String>>>,
    ends: Rc<RefCell<HashMap<String, Result<(), ErrorKind>>>>,
}

/// An attempt. It counts as open until it is dropped.
struct Attempt {
    network: Network,
    address: String,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.network
            .open
            .borrow_mut()
            .retain(|open| *open != self.address);
    }
}

impl Future for Attempt {
    type Output = io::Result<String>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<String>> {
        match self.network.ends.borrow().get(&self.address) {
            None => Poll::Pending,
            Some(Ok(())) => Poll::Ready(Ok(self.address.clone())),
            Some(Err(kind)) => Poll::Ready(Err((*kind).into())),
        }
    }
}

impl Network {
    fn attempt(&self, address: SocketAddr) -> Attempt {
        let (network, address) = (self.clone(), address.to_string());
        self.begun.borrow_mut().push(address.clone());
        self.open.borrow_mut().push(address.clone());
        Attempt { network, address }
    }

    fn end(&self, address: &str, result: Result<(), ErrorKind>) {
        self.ends.borrow_mut().insert(address.to_owned(), result);
    }

    fn fail(&self, address: &str) {
        self.end(address, Err(ErrorKind::ConnectionRefused));
    }

    /// Races, and calls `step` with the number of each poll that leaves the race pending.
    fn race(
        &self,
        order: &[&str],
        mut step: impl FnMut(usize, &ManualClock),
    ) -> io::Result<String> {
        let (clock, manual) = Clock::manual();
        let mut race = pin!(race(&clock, addresses(order), |address| self.attempt(address)));
        for n in 0..100 {
            if let Some(result) = block_on(future::poll_once(&mut race)) {
                return result;
            }
            step(n, &manual);
        }
        panic!("the race does not end");
    }

    fn begun(&self) -> usize {
        self.begun.borrow().len()
    }
}

#[test]
fn the_families_alternate() {
    for (given, ordered) in [
        (
            vec![V6[0], V6[1], V6[2], V4[0], V4[1]],
            vec![V6[0], V4[0], V6[1], V4[1], V6[2]],
        ),
        (
            vec![V4[0], V6[0], V6[1], V6[2], V4[1]],
            vec![V4[0], V6[0], V4[1], V6[1], V6[2]],
        ),
        (vec![V6[0], V6[1]], vec![V6[0], V6[1]]),
        (vec![], vec![]),
    ] {
        assert_eq!(alternate(addresses(&given)), addresses(&ordered));
    }
}

#[test]
fn the_next_attempt_begins_after_the_delay_and_the_losers_are_dropped() {
    let network = Network::default();
    let [a, _, _] = V6;
    let [x, y] = V4;
    let almost = NEXT_ATTEMPT_DELAY - Duration::from_millis(1);
    let won = network.race(&[a, x, y], |n, manual| match n {
        0 => {
            assert_eq!(*network.begun.borrow(), [a]);
            manual.advance(almost);
        }
        1 => {
            assert_eq!(network.begun(), 1);
            manual.advance(Duration::from_millis(1));
        }
        2 => {
            assert_eq!(*network.begun.borrow(), [a, x]);
            assert_eq!(*network.open.borrow(), [a, x]);
            network.end(x, Ok(()));
        }
        _ => panic!("it has a winner"),
    });
    assert_eq!(won.expect("connected"), x);
    assert_eq!(network.begun(), 2, "the third address is not tried");
    assert!(network.open.borrow().is_empty());
}

#[test]
fn an_earlier_attempt_may_still_win() {
    let network = Network::default();
    let [a, b, _] = V6;
    let won = network.race(&[a, b], |n, manual| match n {
        0 => manual.advance(NEXT_ATTEMPT_DELAY),
        _ => network.end(a, Ok(())),
    });
    assert_eq!(won.expect("connected"), a);
    assert_eq!(network.begun(), 2);
}

#[test]
fn a_failure_begins_the_next_attempt_at_once() {
    let network = Network::default();
    let [a, b, c] = V6;
    network.fail(a);
    network.fail(b);
    network.end(c, Ok(()));
    let won = network.race(&[a, b, c], |_, _| panic!("no time passes"));
    assert_eq!(won.expect("connected"), c);
    assert_eq!(*network.begun.borrow(), [a, b, c]);
}

/// The delay belongs to the latest attempt.
#[test]
fn a_failure_of_an_earlier_attempt_does_not_begin_the_next() {
    let network = Network::default();
    let [a, b, c] = V6;
    let won = network.race(&[a, b, c], |n, manual| match n {
        0 => manual.advance(NEXT_ATTEMPT_DELAY),
        1 => network.fail(a),
        2 => {
            assert_eq!(*network.begun.borrow(), [a, b]);
            network.fail(b);
        }
        _ => {
            assert_eq!(network.begun(), 3);
            network.end(c, Ok(()));
        }
    });
    assert_eq!(won.expect("connected"), c);
}

#[test]
fn a_dropped_race_drops_its_attempts() {
    let network = Network::default();
    let (clock, manual) = Clock::manual();
    let order = addresses(&V6);
    let mut race = Box::pin(race(&clock, order, |address| network.attempt(address)));
    for n in 1..=3 {
        assert!(block_on(future::poll_once(&mut race)).is_none());
        assert_eq!(network.open.borrow().len(), n);
        manual.advance(NEXT_ATTEMPT_DELAY);
    }
    drop(race);
    assert!(network.open.borrow().is_empty());
    assert!(!manual.advance_to_next(), "no sleep is left");
}

#[test]
fn errors_that_differ_are_all_named() {
    let refused = io::Error::from(ErrorKind::ConnectionRefused).to_string();
    let unreachable = io::Error::from(ErrorKind::HostUnreachable).to_string();
    let [a, b, _] = V6;
    let network = Network::default();
    network.fail(b);
    network.end(a, Err(ErrorKind::HostUnreachable));
    let error = network
        .race(&[a, b], |_, _| {})
        .expect_err("both have failed");
    assert_eq!(error.kind(), ErrorKind::HostUnreachable);
    assert_eq!(
        error.to_string(),
        format!("{a}: {unreachable}; {b}: {refused}")
    );
    // In the order of the attempts, also if the second has failed first.
    let network = Network::default();
    let error = network.race(&[a, b], |n, manual| match n {
        0 => manual.advance(NEXT_ATTEMPT_DELAY),
        1 => network.fail(b),
        _ => network.end(a, Err(ErrorKind::HostUnreachable)),
    });
    let error = error.expect_err("both have failed").to_string();
    assert_eq!(error, format!("{a}: {unreachable}; {b}: {refused}"));
}

#[test]
fn errors_that_are_the_same_are_named_once() {
    let network = Network::default();
    for address in V6 {
        network.fail(address);
    }
    let error = network.race(&V6, |_, _| {}).expect_err("all have failed");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let refused = io::Error::from(ErrorKind::ConnectionRefused);
    assert_eq!(error.to_string(), refused.to_string());
}

#[test]
fn the_text_of_many_errors_is_bounded() {
    let network = Network::default();
    let order: Vec<_> = (1..=8).map(|n| format!("192.0.2.{n}:7")).collect();
    let order: Vec<&str> = order.iter().map(String::as_str).collect();
    for address in &order {
        network.fail(address);
    }
    network.end(order[0], Err(ErrorKind::HostUnreachable));
    let error = network
        .race(&order, |_, _| {})
        .expect_err("all have failed");
    let error = error.to_string();
    assert!(
        error.ends_with("; and 3 more") && !error.contains(order[5]),
        "{error}"
    );
}
