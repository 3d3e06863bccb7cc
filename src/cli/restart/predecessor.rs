//! `Predecessor`: the process that started this one to be replaced by it.

use std::fs;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;
use std::path::Path;

use halves::connection::UnixName;
use halves::{Address, Endpoint, Listener, Listeners};

use super::super::resources;
use super::super::supervisor::{Store, store_name};
use super::channel::Channel;
use super::message::{Message, Role, SocketNote, VERSION, address_text, listen_options};

/// The listening sockets of the old process, and the channel to it.
pub(in crate::cli) struct Predecessor {
    /// If this process fails, the channel is closed by its exit, and not before: the old process
    /// then reports the exit status.
    channel: ManuallyDrop<Channel>,
    /// The sockets that no address has taken.
    sockets: Vec<(SocketNote, OwnedFd)>,
    /// The channel of its relays, until it is taken.
    pub(super) relays: Option<OwnedFd>,
}

/// The sockets that exist before an address is opened. Others are made.
pub(in crate::cli) struct Sources {
    pub(in crate::cli) predecessor: Option<Predecessor>,
    pub(in crate::cli) store: Store,
}

/// The answer to a new process that is ready.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::cli) enum Answer {
    /// The old process has stopped accepting.
    Committed,
    /// The old process has ended before it answered.
    Ended,
}

impl Predecessor {
    /// Receives the sockets, and sets the limit of open files that the old process started with.
    /// Waits for the old process.
    pub(in crate::cli) fn receive(channel: OwnedFd) -> io::Result<Self> {
        let received = smol::block_on(async {
            let mut predecessor = Self {
                channel: ManuallyDrop::new(Channel::new(channel)?),
                sockets: Vec::new(),
                relays: None,
            };
            predecessor.receive_all().await?;
            Ok(predecessor)
        });
        received.map_err(|error: io::Error| named(&error))
    }

    async fn receive_all(&mut self) -> io::Result<()> {
        let mut limit = None;
        loop {
            match self.channel.receive().await? {
                Some((Message::Begin { version, .. }, _)) if version != VERSION => {
                    let problem =
                        format!("it has version {version} of the messages, not {VERSION}");
                    return Err(io::Error::other(problem));
                }
                Some((Message::Begin { open_files, .. }, _)) => limit = open_files,
                Some((Message::Socket(note), mut fds)) if fds.len() == 1 => {
                    self.sockets.extend(fds.pop().map(|fd| (note, fd)));
                }
                Some((Message::Relays, mut fds)) if fds.len() == 1 => self.relays = fds.pop(),
                // Only now: there may be more sockets than the limit allows.
                Some((Message::End, _)) => return resources::limit_files(limit),
                Some((Message::Cancel, _)) => return Err(io::Error::other("it goes on")),
                Some(_) => return Err(io::Error::other("it sent an unknown message")),
                None => return Err(io::Error::other("it has ended")),
            }
        }
    }

    /// Takes the sockets that the old process had for an address, of the first option with that
    /// address if it was given several times. Returns None if it had none.
    fn take(&mut self, role: Role, address: &Address) -> io::Result<Option<Listeners>> {
        let text = address_text(address);
        let is_same = |note: &SocketNote| note.role == role && note.address == text;
        let mut notes = self.sockets.iter().map(|(note, _)| note);
        let Some(entry) = notes.find(|note| is_same(note)).map(|note| note.entry) else {
            return Ok(None);
        };
        let taken = self
            .sockets
            .extract_if(.., |(note, _)| is_same(note) && note.entry == entry);
        let mut listeners = Listeners::default();
        for (note, socket) in taken {
            let taken = Listeners::from_socket(socket, &listen_options(address))?;
            listeners = listeners.and(if note.is_owned { taken.own()? } else { taken });
        }
        Ok(Some(listeners))
    }

    /// Reports that this process is ready, and waits for the answer. Then closes the sockets that no
    /// address of this process has taken. Fails if the old process has cancelled the restart.
    pub(in crate::cli) async fn replace(self) -> io::Result<Answer> {
        let answer = async {
            match self.channel.send(&Message::Ready, &[]).await {
                // Its last message may say why.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                sent => sent?,
            }
            match self.channel.receive().await? {
                Some((Message::Commit, _)) => Ok(Answer::Committed),
                Some((Message::Cancel, _)) => Err(io::Error::other("it goes on")),
                None => Ok(Answer::Ended),
                Some(_) => Err(io::Error::other("it sent an unknown message")),
            }
        };
        let answer = answer.await.map_err(|error| named(&error))?;
        drop(ManuallyDrop::into_inner(self.channel));
        for (_, socket) in self.sockets.into_iter().filter(|(note, _)| note.is_owned) {
            if let Ok(mut gone) = Listeners::try_from(socket).and_then(Listeners::own) {
                // Removes the file of a Unix socket.
                gone.stop();
            }
        }
        Ok(answer)
    }
}

impl Sources {
    /// Opens the listeners of an address. A Unix socket that has lost its file is made again.
    pub(in crate::cli) async fn open(
        &mut self,
        role: Role,
        address: &Address,
    ) -> io::Result<Listeners> {
        let predecessor = self.predecessor.as_mut();
        let taken = predecessor.map(|it| it.take(role, address));
        match taken.transpose()?.flatten() {
            Some(listeners) if !has_lost_file(&listeners) => return Ok(listeners),
            Some(_) => self.store.remove(store_name(role, &address_text(address))),
            None => {}
        }
        self.store.open(role, address).await
    }

    /// Removes the sockets that no address has taken from the store.
    pub(in crate::cli) fn remove_unused(&mut self) {
        let unused = self.predecessor.iter().flat_map(|it| &it.sockets);
        for (note, _) in unused {
            self.store.remove(store_name(note.role, &note.address));
        }
    }
}

/// Returns true if one is a Unix socket at a path where there is no file, so that no client finds it.
pub(in crate::cli) fn has_lost_file(listeners: &Listeners) -> bool {
    let is_gone = |path: &Path| {
        let found = fs::symlink_metadata(path);
        found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let local = listeners.local_addrs();
    local.iter().any(|local| match local {
        Endpoint::Unix(UnixName::Path(path)) => is_gone(path),
        _ => false,
    })
}

fn named(error: &io::Error) -> io::Error {
    let problem = format!("cannot replace the process that started this one: {error}");
    io::Error::new(error.kind(), problem)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::os::fd::AsFd;

    use futures_lite::future::{self, block_on};
    use halves::bind;

    use super::*;

    fn note(address: &str, entry: usize, is_owned: bool) -> SocketNote {
        SocketNote {
            role: Role::Listen,
            address: address.to_owned(),
            entry,
            is_owned,
        }
    }

    /// Sends messages, and what a new process makes of them.
    fn received(messages: &[Message]) -> (Channel, io::Result<Predecessor>) {
        let (ours, theirs) = Channel::pair().expect("a descriptor");
        let listeners = block_on(bind("127.0.0.1:0")).expect("a free port");
        let socket = listeners.share().sockets().expect("it listens").remove(0);
        block_on(async {
            for message in messages {
                let fd = [socket.fd.as_fd()];
                let has_fd = matches!(message, Message::Socket(_));
                ours.send(message, &fd[..has_fd.into()])
                    .await
                    .expect("sent");
            }
        });
        drop((listeners, socket));
        let received = Predecessor::receive(theirs);
        (ours, received)
    }

    fn begin() -> Message {
        let open_files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Message::Begin {
            version: VERSION,
            open_files,
        }
    }

    /// It has the sockets, which no other process has.
    #[test]
    fn a_new_process_serves_if_the_old_one_ends_before_it_answers() {
        let socket = Message::Socket(note("127.0.0.1:80", 0, true));
        let (old, new) = received(&[begin(), socket, Message::End]);
        drop(old);
        let mut sources = Sources {
            predecessor: new.ok(),
            store: Store::default(),
        };
        let address = "80,nagle".parse().expect("an address");
        let listeners = block_on(sources.open(Role::Listen, &address)).expect("it is passed");
        let answer = block_on(sources.predecessor.expect("received").replace());
        assert_eq!(answer.expect("no error"), Answer::Ended);
        let at = listeners.local_addrs()[0].socket_addr().expect("TCP");
        TcpStream::connect(at).expect("it listens");
        assert!(listeners.share().sockets().expect("it listens")[0].is_owned);
    }

    /// It serves, and the new one would be a second server of the same sockets.
    #[test]
    fn a_new_process_fails_if_the_old_one_has_cancelled_the_restart() {
        for is_before_ready in [false, true] {
            let (old, new) = received(&[begin(), Message::End]);
            let new = new.expect("received");
            let replace = new.replace();
            if is_before_ready {
                old.try_send(&Message::Cancel).expect("sent");
                drop(old);
                let error = block_on(replace).expect_err("an error").to_string();
                assert!(error.ends_with(": it goes on"), "{error}");
                continue;
            }
            let cancel = async {
                old.receive().await.expect("no error").expect("ready");
                old.try_send(&Message::Cancel).expect("sent");
                drop(old);
            };
            let (replaced, ()) = block_on(future::zip(replace, cancel));
            let error = replaced.expect_err("an error").to_string();
            assert!(error.ends_with(": it goes on"), "{error}");
        }
    }

    #[test]
    fn each_address_takes_its_own_sockets() {
        let notes = [
            note("localhost:0", 0, true),
            note("localhost:0", 0, true),
            note("fd:5", 1, false),
            note("localhost:0", 2, true),
        ];
        let messages = [begin()].into_iter().chain(notes.map(Message::Socket));
        let messages: Vec<_> = messages.chain([Message::End]).collect();
        let (_old, new) = received(&messages);
        let mut new = new.expect("received");
        let mut take = |role, text: &str| {
            let taken = new.take(role, &text.parse().expect("an address"));
            taken
                .expect("they listen")
                .map_or(0, |taken| taken.local_addrs().len())
        };
        assert_eq!(take(Role::Control, "fd:5"), 0);
        assert_eq!(take(Role::Listen, "localhost:0"), 2);
        assert_eq!(take(Role::Listen, "localhost:0,nagle"), 1);
        assert_eq!(take(Role::Listen, "localhost:0"), 0);
        assert_eq!(take(Role::Listen, "fd:5"), 1);
    }

    #[test]
    fn an_old_process_that_is_not_understood_is_an_error() {
        let version = VERSION + 1;
        let newer = Message::Begin {
            version,
            open_files: None,
        };
        for (messages, problem) in [
            (vec![newer], "it has version 2 of the messages, not 1"),
            (vec![begin(), Message::Commit], "it sent an unknown message"),
        ] {
            let (_old, new) = received(&messages);
            let error = new.err().expect("an error").to_string();
            assert!(error.ends_with(problem), "{error}");
        }
    }
}
