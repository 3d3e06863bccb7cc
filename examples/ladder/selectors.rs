//! What Python's `selectors` does for the article, for steps 4 to 7: `register` and `select`, over `polling`.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::time::Duration;

use polling::Poller;
use slab::Slab;

/// What is waited for: `Event::readable` or `Event::writable`.
pub(crate) type Interest = fn(usize) -> polling::Event;

/// Watches sockets, each until it is ready once, and keeps something for whoever waits.
pub(crate) struct Selector<T> {
    poller: Poller,
    keys: RefCell<Slab<Key<T>>>,
}

struct Key<T> {
    fileobj: Rc<dyn AsFd>,
    data: T,
}

impl<T> Selector<T> {
    pub(crate) fn new() -> io::Result<Self> {
        let (poller, keys) = (Poller::new()?, RefCell::default());
        Ok(Self { poller, keys })
    }

    pub(crate) fn register(
        &self,
        fileobj: Rc<dyn AsFd>,
        interest: Interest,
        data: T,
    ) -> io::Result<()> {
        let mut keys = self.keys.borrow_mut();
        let key = keys.vacant_entry();
        let fd = fileobj.as_fd().as_raw_fd();
        // SAFETY: the key holds the socket, and thus keeps it open, until `select` has deleted it.
        unsafe { self.poller.add(fd, interest(key.key()))? };
        key.insert(Key { fileobj, data });
        Ok(())
    }

    /// Waits until sockets are ready, or for `timeout`, and says whose they are. They are not watched
    /// any longer, as those of the article, which unregisters each.
    pub(crate) fn select(&self, timeout: Option<Duration>) -> io::Result<Vec<T>> {
        let mut events = polling::Events::new();
        self.poller.wait(&mut events, timeout)?;
        let unregister = |event: polling::Event| {
            let Key { fileobj, data } = self.keys.borrow_mut().remove(event.key);
            self.poller.delete(fileobj.as_fd())?;
            Ok(data)
        };
        events.iter().map(unregister).collect()
    }
}
