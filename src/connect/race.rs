//! Attempts at the addresses of one name, as in RFC 8305: the first that succeeds is the result.

use std::fmt::Write;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec::IntoIter;

use crate::time::{Clock, Sleep};

/// The time after which an attempt is made beside the one before: that of RFC 8305.
const NEXT_ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// The failures in the text of an error.
const MAX_NAMED_FAILURES: usize = 5;

/// Makes attempts until one succeeds. The next attempt begins after a delay, or at the failure of
/// the one before. All other attempts are dropped at the end.
pub(super) async fn race<T, F>(
    clock: &Clock,
    addresses: Vec<SocketAddr>,
    mut attempt: impl FnMut(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    if let [address] = addresses[..] {
        return attempt(address).await;
    }
    let mut race = Race {
        clock,
        waiting: alternate(addresses).into_iter().enumerate(),
        attempt,
        running: Vec::new(),
        delay: None,
        failures: Vec::new(),
    };
    poll_fn(|cx| race.poll(cx)).await
}

struct Race<'a, A, F> {
    clock: &'a Clock,
    /// Numbered, in the order of the attempts.
    waiting: std::iter::Enumerate<IntoIter<SocketAddr>>,
    attempt: A,
    /// The latest is the last.
    running: Vec<(usize, SocketAddr, Pin<Box<F>>)>,
    /// Ends when the next attempt may begin. None if that is at once.
    delay: Option<Sleep>,
    failures: Vec<(usize, SocketAddr, io::Error)>,
}

impl<T, A, F> Race<'_, A, F>
where
    A: FnMut(SocketAddr) -> F,
    F: Future<Output = io::Result<T>>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        loop {
            if let Some(result) = self.poll_running(cx) {
                return Poll::Ready(Ok(result));
            }
            if self
                .delay
                .as_mut()
                .is_some_and(|delay| Pin::new(delay).poll(cx).is_pending())
            {
                return Poll::Pending;
            }
            let Some((number, address)) = self.waiting.next() else {
                if self.running.is_empty() {
                    return Poll::Ready(Err(combine(&mut self.failures)));
                }
                return Poll::Pending;
            };
            let attempt = Box::pin((self.attempt)(address));
            self.running.push((number, address, attempt));
            let has_more = self.waiting.len() > 0;
            self.delay = has_more.then(|| self.clock.sleep(NEXT_ATTEMPT_DELAY));
        }
    }

    /// Polls all attempts. Returns the result of the first that has succeeded.
    fn poll_running(&mut self, cx: &mut Context<'_>) -> Option<T> {
        let mut n = 0;
        while let Some((_, _, attempt)) = self.running.get_mut(n) {
            match attempt.as_mut().poll(cx) {
                Poll::Pending => n += 1,
                Poll::Ready(Ok(result)) => return Some(result),
                Poll::Ready(Err(error)) => {
                    let (number, address, _) = self.running.remove(n);
                    self.failures.push((number, address, error));
                    if n == self.running.len() {
                        self.delay = None;
                    }
                }
            }
        }
        None
    }
}

/// Orders addresses so that the two families alternate, beginning with that of the first address.
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, other): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv4() == first_is_v4);
    let (mut first, mut other) = (first.into_iter(), other.into_iter());
    let mut ordered = Vec::with_capacity(first.len() + other.len());
    while first.len() + other.len() > 0 {
        ordered.extend(first.next());
        ordered.extend(other.next());
    }
    ordered
}

/// Makes one error of those of all attempts.
fn combine(failures: &mut Vec<(usize, SocketAddr, io::Error)>) -> io::Error {
    failures.sort_by_key(|&(number, ..)| number);
    let texts: Vec<_> = failures
        .iter()
        .map(|(.., error)| error.to_string())
        .collect();
    if texts.windows(2).all(|pair| pair[0] == pair[1]) {
        let first = failures.drain(..).next();
        return first.map_or_else(no_address, |(.., error)| error);
    }
    let mut message = String::new();
    for ((_, address, _), text) in failures.iter().zip(&texts).take(MAX_NAMED_FAILURES) {
        let before = if message.is_empty() { "" } else { "; " };
        let _ = write!(message, "{before}{address}: {text}");
    }
    if failures.len() > MAX_NAMED_FAILURES {
        let _ = write!(
            message,
            "; and {} more",
            failures.len() - MAX_NAMED_FAILURES
        );
    }
    let kind = failures
        .first()
        .map_or(io::ErrorKind::Other, |(.., error)| error.kind());
    io::Error::new(kind, message)
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the host has no address")
}

#[cfg(test)]
mod tests;
