//! The `selectors` of Python, for steps 4 to 7: `register` and `select`, over `polling`.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::time::Duration;

use polling::Poller;
use slab::Slab;

/// The event to wait for: `Event::readable` or `Event::writable`.
pub(crate) type Interest = fn(usize) -> polling::Event;

/// Watches sockets, each until it is ready once, with a value for each.
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
        // SAFETY: the key keeps the socket open until `select` has deleted it from the poller.
        unsafe { self.poller.add(fd, interest(key.key()))? };
        key.insert(Key { fileobj, data });
        Ok(())
    }

    /// Waits until sockets are ready, or for `timeout`, and returns their values. It unregisters
    /// these sockets, as the article does.
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
