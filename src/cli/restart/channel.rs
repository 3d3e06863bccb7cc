//! `Channel`: messages with descriptors between a process and the one that replaces it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair, sockopt,
};
use smol::Async;

use super::message::Message;

/// The longest message: an address has at most a host name or a path.
const MAX_MESSAGE_BYTES: usize = 4096;
/// The most descriptors of one message. The system allows 253.
const MAX_FDS: usize = 8;

/// One end of a Unix socket that keeps the bounds of messages. A process that ends closes its end.
pub(super) struct Channel(Async<UnixStream>);

impl Channel {
    /// Makes a channel. The second end is for another process.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let (ours, theirs) = socketpair(family, kind, SocketFlags::CLOEXEC, None)?;
        Ok((Self::new(ours)?, theirs))
    }

    /// Takes over an end that was inherited.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        if sockopt::socket_type(&socket)? != SocketType::SEQPACKET {
            return Err(invalid("it is not a channel"));
        }
        Ok(Self(Async::new(UnixStream::from(socket))?))
    }

    /// Sends a message with at most [`MAX_FDS`] descriptors. Waits while the other process does not
    /// read. Cancel-safe.
    pub(super) async fn send(&self, message: &Message, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        if fds.len() > MAX_FDS {
            return Err(invalid("too many descriptors"));
        }
        let text = serde_json::to_vec(message)?;
        self.0.write_with(|socket| write(socket, &text, fds)).await
    }

    /// Sends a message without descriptors. Fails with `WouldBlock` if the other process has to read
    /// first.
    pub(super) fn try_send(&self, message: &Message) -> io::Result<()> {
        write(self.0.get_ref(), &serde_json::to_vec(message)?, &[])
    }

    /// Receives a message with its descriptors. Returns None if the other process has ended, and all
    /// its messages are received. Cancel-safe.
    pub(super) async fn receive(&self) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
        let mut text = [0; MAX_MESSAGE_BYTES];
        let received = self.0.read_with(|socket| {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
            let mut passed = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::CMSG_CLOEXEC;
            let mut receive = || {
                let mut slices = [IoSliceMut::new(&mut text)];
                recvmsg(socket, &mut slices, &mut passed, flags)
            };
            let received = match receive() {
                // It has ended with messages unread. This is reported once, before its own messages.
                Err(Errno::CONNRESET) => receive(),
                received => received,
            }?;
            let fds = passed.drain().filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(fds) => Some(fds),
                _ => None,
            });
            let fds: Vec<OwnedFd> = fds.flatten().collect();
            Ok((received.bytes, received.flags, fds))
        });
        let (length, flags, fds) = received.await?;
        if length == 0 {
            return Ok(None);
        }
        if flags.contains(ReturnFlags::CTRUNC) {
            return Err(io::Error::other("no descriptors are left (ulimit -n)"));
        }
        if flags.contains(ReturnFlags::TRUNC) {
            return Err(invalid("a message is too long"));
        }
        Ok(Some((serde_json::from_slice(&text[..length])?, fds)))
    }
}

fn write(socket: &UnixStream, text: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut passed = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        passed.push(SendAncillaryMessage::ScmRights(fds));
    }
    let flags = SendFlags::NOSIGNAL;
    sendmsg(socket, &[IoSlice::new(text)], &mut passed, flags)?;
    Ok(())
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;

    fn pair() -> (Channel, OwnedFd) {
        Channel::pair().expect("a descriptor")
    }

    #[test]
    fn descriptors_arrive_with_their_message() {
        let (ours, theirs) = pair();
        let theirs = Channel::new(theirs).expect("a channel");
        let files = [(); MAX_FDS + 1].map(|()| File::open("/dev/null").expect("it is there"));
        let files = files.each_ref().map(AsFd::as_fd);
        smol::block_on(async {
            for count in [0, 1, MAX_FDS] {
                let message = Message::End;
                ours.send(&message, &files[..count]).await.expect("sent");
                let received = theirs.receive().await.expect("a message");
                let (received, fds) = received.expect("not the end");
                assert_eq!((received, fds.len()), (message, count));
            }
            let error = ours.send(&Message::End, &files).await;
            assert_eq!(
                error.expect_err("one too many").kind(),
                io::ErrorKind::InvalidData
            );
        });
    }

    #[test]
    fn the_end_of_the_other_process_is_no_error() {
        for unread in [false, true] {
            let (ours, theirs) = pair();
            smol::block_on(async {
                if unread {
                    ours.send(&Message::End, &[]).await.expect("sent");
                }
                drop(theirs);
                assert!(ours.receive().await.expect("no error").is_none());
                let error = ours.send(&Message::End, &[]).await.expect_err("it is gone");
                assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            });
        }
    }

    #[test]
    fn the_last_message_of_a_process_arrives_although_it_has_not_read_all() {
        for unread in [false, true] {
            let (ours, theirs) = pair();
            let theirs = Channel::new(theirs).expect("a channel");
            smol::block_on(async {
                if unread {
                    ours.send(&Message::Ready, &[]).await.expect("sent");
                }
                theirs.try_send(&Message::Cancel).expect("sent");
                drop(theirs);
                let received = ours.receive().await.expect("no error");
                assert_eq!(received.map(|it| it.0), Some(Message::Cancel));
                assert!(ours.receive().await.expect("no error").is_none());
            });
        }
    }

    #[test]
    fn a_bad_message_is_an_error() {
        let long = vec![b' '; MAX_MESSAGE_BYTES + 1];
        for bad in [&b"\"hello\""[..], b"{", b"\xff", &long] {
            let (ours, theirs) = pair();
            rustix::io::write(&theirs, bad).expect("sent");
            smol::block_on(ours.receive()).expect_err("no message");
        }
    }

    #[test]
    fn another_descriptor_is_not_a_channel() {
        let (stream, _other) = UnixStream::pair().expect("a descriptor");
        assert!(Channel::new(stream.into()).is_err());
        let file = File::open("/dev/null").expect("it is there");
        assert!(Channel::new(file.into()).is_err());
    }
}
