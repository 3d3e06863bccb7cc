//! `Store`: listening sockets that the service manager keeps while the service restarts, the file
//! descriptor store of systemd.

use std::env;
use std::fmt::Write;
use std::io;
use std::os::fd::OwnedFd;

use halves::listener::inherited::unclaimed;
use halves::{Address, Listeners, bind};

use super::super::format::Line;
use super::super::log::{Level, Lines};
use super::super::restart::{Role, address_text, has_lost_file, listen_options};

/// The number of descriptors that the manager keeps: `FileDescriptorStoreMax=`.
const STORE_VARIABLE: &str = "FDSTORE";
/// The longest name of a descriptor.
const MAX_NAME_BYTES: usize = 255;
const PREFIXES: [&str; 3] = ["listen=", "control=", "metrics="];

/// The sockets that the manager has to store or to remove.
#[derive(Debug, Default)]
pub(in crate::cli) struct Store {
    is_on: bool,
    pub(super) new: Vec<(String, OwnedFd)>,
    /// The names of sockets that no address has.
    pub(super) gone: Vec<String>,
}

impl Store {
    /// Finds out whether the manager stores descriptors.
    pub(in crate::cli) fn find() -> Self {
        let most = env::var(STORE_VARIABLE).ok();
        let most = most.and_then(|most| most.parse::<u64>().ok());
        Self {
            is_on: most.is_some_and(|most| most > 0) && env::var_os("NOTIFY_SOCKET").is_some(),
            ..Self::default()
        }
    }

    /// Opens the listeners of an address: stored sockets, or else new ones, which are stored. A
    /// stored socket is shared with the manager, so its clients are never refused. A Unix socket that
    /// has lost its file is made again.
    pub(in crate::cli) async fn open(
        &mut self,
        role: Role,
        address: &Address,
    ) -> io::Result<Listeners> {
        let is_own = matches!(
            address,
            Address::Tcp { .. } | Address::Unix { .. } | Address::Abstract { .. }
        );
        let name = name(role, &address_text(address));
        if !self.is_on || !is_own || name.len() > MAX_NAME_BYTES {
            return bind(address.clone()).await;
        }
        let stored = Address::Activation {
            name: Some(name.clone()),
            options: listen_options(address),
        };
        match bind(stored).await {
            // Its directory may have been removed at the end of the service.
            Ok(found) if has_lost_file(&found) => self.remove(name.clone()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let listeners = bind(address.clone()).await?;
        self.store(&name, listeners, address)
    }

    fn store(
        &mut self,
        name: &str,
        listeners: Listeners,
        address: &Address,
    ) -> io::Result<Listeners> {
        let shared = listeners.share();
        let sockets = shared.sockets()?;
        shared.disown()?;
        drop(listeners);
        let mut stored = Listeners::default();
        for socket in sockets {
            self.new.push((name.to_owned(), socket.fd.try_clone()?));
            let socket = Listeners::from_socket(socket.fd, &listen_options(address))?;
            stored = stored.and(socket);
        }
        Ok(stored)
    }

    /// Makes the manager remove a socket that has no address, if it has stored it.
    pub(in crate::cli) fn remove(&mut self, name: String) {
        if self.is_on && PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            self.gone.push(name);
        }
    }
}

/// Returns the name of the sockets of an address. A name has no colon.
pub(in crate::cli) fn name(role: Role, address: &str) -> String {
    let [listen, control, metrics] = PREFIXES;
    let mut name = String::from(match role {
        Role::Listen => listen,
        Role::Control => control,
        Role::Metrics => metrics,
    });
    for byte in address.bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-@[]".contains(&byte) {
            name.push(byte.into());
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
    }
    name
}

/// Closes the sockets that a service manager passed and no `--listen` names. Their clients would
/// wait for ever.
pub(in crate::cli) fn close_unused(store: &mut Store, lines: &Lines) {
    let unused = unclaimed();
    if unused.is_empty() {
        return;
    }
    let names = unused.iter().map(|handed| {
        let (name, number, local) = (&handed.name, handed.number, handed.local());
        format!("{name} fd:{number} {local}")
    });
    let line = Line::new("unused")
        .text("sockets", &names.collect::<Vec<_>>().join(", "))
        .remark("closed: passed by the service manager, named by no --listen");
    lines.write(Level::Quiet, &line);
    for handed in unused {
        store.remove(handed.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_colon_and_differ() {
        for (role, address, expected) in [
            (Role::Listen, "127.0.0.1:80", "listen=127.0.0.1%3A80"),
            (Role::Control, "unix:/run/a b", "control=unix%3A/run/a%20b"),
            (Role::Listen, "@x%", "listen=@x%25"),
            (Role::Metrics, "/m", "metrics=/m"),
        ] {
            assert_eq!(name(role, address), expected);
        }
    }
}
