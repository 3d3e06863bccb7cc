//! `RelayMove`: moves the relays of this process to the new one.

use std::io;
use std::os::fd::OwnedFd;

use halves::service::Handover;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::super::format::Line;
use super::super::log::{Level, Lines};

/// Relays that can move, and the channel to the process that takes them over.
pub(in crate::cli) struct RelayMove {
    handover: Handover,
    channel: OwnedFd,
}

impl RelayMove {
    /// Returns the end of the new process, too.
    pub(super) fn new(handover: &Handover) -> io::Result<(Self, OwnedFd)> {
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let (channel, theirs) = socketpair(family, kind, SocketFlags::CLOEXEC, None)?;
        let handover = handover.clone();
        Ok((Self { handover, channel }, theirs))
    }

    /// Moves the relays, and logs the result. Blocks until each has moved, has ended or stays.
    pub(in crate::cli) fn run(self, lines: &Lines) {
        let result = smol::block_on(self.handover.send(self.channel));
        let (line, error) = match result {
            Ok(done) => {
                let line = Line::new("handed_over").number("relays", done.moved);
                (line.number("left", done.left), done.error)
            }
            Err(error) => (Line::new("handover_failed"), Some(error)),
        };
        match error {
            None => lines.write(Level::Normal, &line),
            Some(error) => {
                let line = line.text("error", &error);
                let line = line.remark("the relays that are left end with this process");
                lines.write(Level::Quiet, &line);
            }
        }
    }
}
