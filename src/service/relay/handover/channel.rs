//! The channel between two processes: a pair of Unix sockets of the type `SOCK_SEQPACKET`.
//!
//! A message is sent whole or not at all, with its descriptors: see unix(7). The receiver looks at a
//! message before it takes it. One for which it has too few descriptors waits in the kernel.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketType, recv, recvmsg, send, sendmsg, sockopt,
};

use super::message::{MAX_MESSAGE_BYTES, VERSION};
use crate::reactor::WatchedFd;

/// The bytes of a channel's queue in the kernel. Its relays are lost if the receiver dies, so there
/// is room for a few of them only.
const QUEUE_BYTES: usize = 16 * 1024;
/// The descriptors of a relay: both sockets, and a file with the bytes between them.
pub(super) const MAX_FDS: usize = 3;
/// The first message of the receiver, before the version that it reads.
const GREETING: &[u8; 8] = b"handover";

/// The end of the process that gives its relays up.
pub(super) struct Sender(WatchedFd);

/// The end of the process that takes the relays over.
#[derive(Debug)]
pub(super) struct Receiver(WatchedFd);

/// A message, with its descriptors.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
}

/// The result of a look at the queue.
enum Peeked {
    End,
    Message(Received),
    /// Too long, or with too many descriptors.
    Unfit,
}

impl Sender {
    pub(super) fn new(channel: OwnedFd) -> io::Result<Self> {
        let channel = checked(channel)?;
        sockopt::set_socket_send_buffer_size(&channel, QUEUE_BYTES)?;
        Ok(Self(WatchedFd::new(channel)))
    }

    /// Waits until the receiver is ready. Fails if it reads messages of another version.
    pub(super) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut greeting = [0; GREETING.len() + 1];
        let room = greeting.len();
        let receive = |socket: BorrowedFd<'_>| {
            recv(socket, &mut greeting[..], RecvFlags::DONTWAIT).map(|(n, _)| n)
        };
        let polled = self.0.poll_read(cx, room, receive);
        polled.map(|received| match (received?, greeting) {
            (0, _) => Err(ErrorKind::UnexpectedEof.into()),
            (n, [word @ .., VERSION]) if n == room && word == *GREETING => Ok(()),
            _ => {
                let what = "the other process takes relays of another version only";
                Err(io::Error::new(ErrorKind::Unsupported, what))
            }
        })
    }

    /// Waits until the queue has room.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let room = |socket: BorrowedFd<'_>| {
            let mut polled = [PollFd::from_borrowed_fd(socket, PollFlags::OUT)];
            match poll(&mut polled, Some(&Timespec::default()))? {
                0 => Err(Errno::AGAIN),
                _ => Ok(1),
            }
        };
        self.0.poll_write(cx, 1, room).map_ok(drop)
    }

    /// Sends a message whole, or fails.
    pub(super) fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> rustix::io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(Errno::INVAL);
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        sendmsg(&self.0, &[IoSlice::new(message)], &mut control, flags)?;
        Ok(())
    }
}

impl Receiver {
    /// Tells the sender that it may begin.
    pub(super) fn new(channel: OwnedFd) -> io::Result<Self> {
        let channel = checked(channel)?;
        let greeting = [&GREETING[..], &[VERSION]].concat();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match send(&channel, &greeting, flags) {
            // The end of the channel is read next.
            Ok(_) | Err(Errno::PIPE) => Ok(Self(WatchedFd::new(channel))),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the next message. Returns `None` at the end of the channel. If too few descriptors are
    /// left, it fails with `EMFILE` or `ENFILE`, and the message stays. One that is not fit is
    /// dropped, and the error is `EPROTO`.
    pub(super) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Received>>> {
        self.0.poll_event(cx, |socket| {
            let peeked = peek(socket)?;
            // Drops the copies of the descriptors.
            recv(socket, &mut [0; 1], RecvFlags::DONTWAIT)?;
            match peeked {
                Peeked::End => Ok(None),
                Peeked::Message(received) => Ok(Some(received)),
                Peeked::Unfit => Err(Errno::PROTO),
            }
        })
    }
}

fn peek(socket: BorrowedFd<'_>) -> rustix::io::Result<Peeked> {
    let mut bytes = [0; MAX_MESSAGE_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let got = loop {
        let slices = &mut [IoSliceMut::new(&mut bytes)];
        match recvmsg(socket, slices, &mut control, flags) {
            // The sender has closed its end with something unread. The queue is still there.
            Err(Errno::CONNRESET) => {}
            result => break result?,
        }
    };
    let fds = control.drain().filter_map(|part| match part {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fds: Vec<_> = fds.flatten().collect();
    let is_cut = got.flags.contains(ReturnFlags::CTRUNC);
    if is_cut && fds.len() < MAX_FDS {
        // The kernel has more descriptors than fit into the table of this process.
        return Err(Errno::MFILE);
    }
    if is_cut || got.flags.contains(ReturnFlags::TRUNC) {
        return Ok(Peeked::Unfit);
    }
    if got.bytes == 0 {
        return Ok(Peeked::End);
    }
    let bytes = bytes[..got.bytes].to_vec();
    Ok(Peeked::Message(Received { bytes, fds }))
}

/// Returns a file in memory with these bytes.
pub(super) fn file_of(parts: &[&[u8]]) -> io::Result<File> {
    let mut file = File::from(memfd_create("halves-handover", MemfdFlags::CLOEXEC)?);
    parts.iter().try_for_each(|part| file.write_all(part))?;
    Ok(file)
}

fn checked(channel: OwnedFd) -> io::Result<OwnedFd> {
    if sockopt::socket_type(channel.as_fd())? != SocketType::SEQPACKET {
        let what = "the channel of a handover is not a SOCK_SEQPACKET socket";
        return Err(io::Error::new(ErrorKind::InvalidInput, what));
    }
    ioctl_fionbio(&channel, true)?;
    Ok(channel)
}
