//! Tells when a socket is ready where there is no reactor of ours: async-io does.

mod socket;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use smol::Async;

pub(crate) use socket::Socket;

/// What a descriptor is waited for.
#[derive(Clone, Copy, Debug)]
enum Direction {
    Read,
    Write,
}

/// A descriptor that several handles share.
#[derive(Debug)]
struct Source {
    fd: Arc<OwnedFd>,
    handles: AtomicU32,
    /// None until there was nothing to do.
    watched: Mutex<Option<Watched>>,
}

type Watched = Arc<Async<Arc<OwnedFd>>>;

impl Source {
    fn new(fd: OwnedFd) -> Arc<Self> {
        Arc::new(Self {
            fd: Arc::new(fd),
            handles: AtomicU32::new(1),
            watched: Mutex::new(None),
        })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether there are several handles.
    fn is_shared(&self) -> bool {
        self.handles.load(Ordering::Acquire) > 1
    }

    fn join(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    fn leave(&self) {
        self.handles.fetch_sub(1, Ordering::AcqRel);
    }

    /// Calls `io` until it gives something else than "would block", waiting in between. How much
    /// there was makes no difference: the next call is tried.
    fn poll_io<T>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut io: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
        _short: impl FnOnce(&T) -> bool,
    ) -> Poll<io::Result<T>> {
        loop {
            match io(self.fd()) {
                Ok(value) => return Poll::Ready(Ok(value)),
                Err(Errno::AGAIN) => {
                    let watched = self.watched()?;
                    ready!(match direction {
                        Direction::Read => watched.poll_readable(cx),
                        Direction::Write => watched.poll_writable(cx),
                    })?;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn watched(&self) -> io::Result<Watched> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = &*watched {
            return Ok(watched.clone());
        }
        let new = Arc::new(Async::new_nonblocking(self.fd.clone())?);
        *watched = Some(new.clone());
        Ok(new)
    }
}
