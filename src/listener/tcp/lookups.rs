//! Lookups of names that are in progress. A lookup cannot be stopped, so all calls for one name
//! share one.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use event_listener::Event;

use crate::blocking::unblock;

static LOOKUPS: Lookups = Lookups::new();

/// The references to a lookup without a waiting call: that of the table, and that of its thread.
const OWN_REFERENCES: usize = 2;

/// Looks up the addresses of a name with the resolver of the system, on a thread of the blocking
/// pool. The port of each address is 0.
///
/// Cancel-safe. Any number of calls for one name, cancelled or not, occupy one thread.
pub(super) async fn look_up(name: &str) -> io::Result<Vec<SocketAddr>> {
    LOOKUPS.find_or_start(name, ask_system).finished().await
}

fn ask_system(name: &str) -> io::Result<Vec<SocketAddr>> {
    match (name, 0).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        // An error of `getaddrinfo` has no number, and a kind that cannot be named.
        Err(error) if error.raw_os_error().is_none() && error.kind() != ErrorKind::InvalidInput => {
            let text = error.to_string();
            let reason = text.strip_prefix("failed to lookup address information: ");
            let reason = reason.unwrap_or(&text).to_owned();
            Err(io::Error::new(ErrorKind::NotFound, reason))
        }
        Err(error) => Err(error),
    }
}

/// The process that looks up, and the name. The child of a fork does not wait for lookups of its
/// parent.
type Key = (u32, String);

struct Lookups(Mutex<BTreeMap<Key, Arc<Lookup>>>);

#[derive(Default)]
struct Lookup {
    result: OnceLock<Result<Vec<SocketAddr>, Failure>>,
    /// Notified when there is a result.
    done: Event,
}

/// An error of which each waiting call gets a copy.
struct Failure {
    system_code: Option<i32>,
    kind: ErrorKind,
    text: String,
}

impl Lookups {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Returns the lookup of a name that is in progress, or starts one that calls `ask`.
    fn find_or_start(
        &'static self,
        name: &str,
        ask: impl FnOnce(&str) -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> Arc<Lookup> {
        let key = (process::id(), name.to_owned());
        let lookup = Arc::<Lookup>::default();
        {
            let mut lookups = self.lock();
            if let Some(lookup) = lookups.get(&key) {
                return lookup.clone();
            }
            lookups.insert(key.clone(), lookup.clone());
        }
        let in_progress = (key.clone(), lookup.clone());
        let started = unblock(move || {
            let (key, lookup) = in_progress;
            self.run(&key, &lookup, ask);
            Ok(())
        });
        if let Err(error) = started.detach() {
            self.end(&key, &lookup, Err(error));
        }
        lookup
    }

    /// Makes a lookup on this thread, unless nothing waits for it.
    fn run(
        &self,
        key: &Key,
        lookup: &Arc<Lookup>,
        ask: impl FnOnce(&str) -> io::Result<Vec<SocketAddr>>,
    ) {
        {
            let mut lookups = self.lock();
            if Arc::strong_count(lookup) == OWN_REFERENCES {
                lookups.remove(key);
                return;
            }
        }
        let result = ask(&key.1);
        self.end(key, lookup, result);
    }

    /// Passes the result to all calls that wait. Later calls begin a lookup of their own.
    fn end(&self, key: &Key, lookup: &Lookup, result: io::Result<Vec<SocketAddr>>) {
        self.lock().remove(key);
        // The lookup ends once.
        let _ = lookup.result.set(result.map_err(Failure::from));
        lookup.done.notify(usize::MAX);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<Lookup>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lookup {
    async fn finished(&self) -> io::Result<Vec<SocketAddr>> {
        loop {
            let done = self.done.listen();
            if let Some(result) = self.result.get() {
                return match result {
                    Ok(addresses) => Ok(addresses.clone()),
                    Err(failure) => Err(failure.into()),
                };
            }
            done.await;
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self {
            system_code: error.raw_os_error(),
            kind: error.kind(),
            text: error.to_string(),
        }
    }
}

impl From<&Failure> for io::Error {
    fn from(failure: &Failure) -> Self {
        match failure.system_code {
            Some(code) => Self::from_raw_os_error(code),
            None => Self::new(failure.kind, failure.text.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::mpsc;

    use futures_lite::future;
    use smol::block_on;

    use super::*;
    use crate::blocking::without_threads;

    fn lookups() -> &'static Lookups {
        Box::leak(Box::new(Lookups::new()))
    }

    fn address() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], 0))
    }

    fn is_pending(future: impl Future) -> bool {
        let mut future = pin!(future);
        block_on(future::poll_once(&mut future)).is_none()
    }

    #[test]
    fn cancelled_calls_for_one_name_share_a_lookup() {
        let lookups = lookups();
        let (end, ended) = mpsc::channel::<()>();
        let (report, reports) = mpsc::channel();
        let first = lookups.find_or_start("slow", move |name| {
            report.send(name.to_owned()).expect("the test reads");
            ended.recv().expect("the test ends it");
            Ok(vec![address()])
        });
        assert_eq!(reports.recv().expect("it starts"), "slow");
        assert!(is_pending(first.finished()));
        drop(first);
        for _ in 0..1000 {
            let joined = lookups.find_or_start("slow", |_| unreachable!("one is in progress"));
            assert!(is_pending(joined.finished()));
        }
        let other = lookups.find_or_start("other", |_| Ok(vec![]));
        assert_eq!(block_on(other.finished()).expect("found"), []);
        let last = lookups.find_or_start("slow", |_| unreachable!("one is in progress"));
        end.send(()).expect("the lookup waits");
        assert_eq!(block_on(last.finished()).expect("found"), [address()]);
        // The next call looks up again.
        let again = lookups.find_or_start("slow", |_| Err(io::ErrorKind::NotFound.into()));
        let error = block_on(again.finished()).expect_err("not found");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(lookups.lock().is_empty());
    }

    #[test]
    fn a_lookup_that_nothing_waits_for_is_not_made() {
        let lookups = lookups();
        let key = (process::id(), "gone".to_owned());
        let lookup = Arc::<Lookup>::default();
        lookups.lock().insert(key.clone(), lookup.clone());
        lookups.run(&key, &lookup, |_| unreachable!("nothing waits"));
        assert!(lookups.lock().is_empty());
    }

    #[test]
    fn a_refused_thread_is_the_error_of_the_lookup() {
        without_threads(|| {
            let lookups = lookups();
            let lookup = lookups.find_or_start("name", |_| unreachable!("there is no thread"));
            let error = block_on(lookup.finished()).expect_err("refused");
            let text = "no thread for a call that blocks: ";
            assert!(error.to_string().starts_with(text), "{error}");
            assert!(lookups.lock().is_empty());
        });
    }

    #[test]
    fn each_waiting_call_gets_the_error() {
        let lookups = lookups();
        let busy = rustix::io::Errno::MFILE;
        for (error, kind, code) in [
            (busy.into(), None, Some(busy.raw_os_error())),
            (
                io::Error::new(ErrorKind::NotFound, "no such name"),
                Some(ErrorKind::NotFound),
                None,
            ),
        ] {
            let lookup = lookups.find_or_start("name", |_| Err(error));
            for _ in 0..2 {
                let copy = block_on(lookup.finished()).expect_err("failed");
                assert_eq!(copy.raw_os_error(), code);
                assert!(kind.is_none_or(|kind| copy.kind() == kind), "{copy}");
            }
        }
    }

    #[test]
    fn a_child_of_a_fork_begins_its_own_lookup() {
        let lookups = lookups();
        let parents = (process::id().wrapping_add(1), "name".to_owned());
        lookups.lock().insert(parents, Arc::default());
        let lookup = lookups.find_or_start("name", |_| Ok(vec![address()]));
        assert_eq!(block_on(lookup.finished()).expect("found"), [address()]);
    }
}
