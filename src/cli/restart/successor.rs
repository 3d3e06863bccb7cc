//! `Successor`: the process that is started to replace this one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;

use super::channel::Channel;
use super::invocation::Invocation;
use super::message::{Message, SocketNote, VERSION};
use halves::listener::SharedSocket;

/// A new process. It is cancelled and killed on drop, unless it was told to take over.
pub(super) struct Successor {
    child: Child,
    channel: Channel,
    is_committed: bool,
}

impl Successor {
    /// Starts the program of an invocation.
    pub(super) fn start(invocation: &Invocation) -> io::Result<Self> {
        let (channel, theirs) = Channel::pair()?;
        Ok(Self {
            child: invocation.start(theirs.as_fd())?,
            channel,
            is_committed: false,
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends the sockets, and waits until the new process is ready. An error is one line.
    pub(super) async fn prepare(
        &mut self,
        open_files: Option<u64>,
        sockets: Vec<(SocketNote, SharedSocket)>,
        relays: Option<OwnedFd>,
    ) -> Result<(), String> {
        let begin = Message::Begin {
            version: VERSION,
            open_files,
        };
        let sent = async {
            self.channel.send(&begin, &[]).await?;
            for (note, socket) in sockets {
                let message = Message::Socket(note);
                self.channel.send(&message, &[socket.fd.as_fd()]).await?;
            }
            if let Some(relays) = relays {
                self.channel
                    .send(&Message::Relays, &[relays.as_fd()])
                    .await?;
            }
            self.channel.send(&Message::End, &[]).await
        };
        match sent.await {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(self.ended()),
            Err(error) => return Err(format!("cannot send a socket: {error}")),
        }
        match self.channel.receive().await {
            Ok(Some((Message::Ready, _))) => Ok(()),
            Ok(None) => Err(self.ended()),
            Ok(Some(_)) => Err("the new process sent an unknown message".to_owned()),
            Err(error) => Err(format!("the new process: {error}")),
        }
    }

    /// Makes the new process take over.
    pub(super) async fn commit(&mut self) -> Result<(), String> {
        if self.channel.send(&Message::Commit, &[]).await.is_err() {
            return Err(self.ended());
        }
        self.is_committed = true;
        Ok(())
    }

    /// Kills the process although it was told to take over.
    pub(super) fn revoke(mut self) {
        self.is_committed = false;
    }

    /// Describes the end of the process, which has closed its channel.
    fn ended(&mut self) -> String {
        // It may have closed the channel only.
        let _ = self.child.kill();
        match self.child.wait() {
            Ok(status) => format!("the new process ended: {status}"),
            Err(error) => format!("the new process ended: {error}"),
        }
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.is_committed {
            // The child may be a shell, which has started the program as a child of its own.
            let _ = self.channel.try_send(&Message::Cancel);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
