//! One connection: starts its child, waits for the exit.

use std::any::Any;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_lite::{AsyncRead, AsyncWrite};

use super::link::ExecLink;
use super::pipes::{ChildPipes, Pipes};
use super::{Exited, Settings};
use crate::blocking::unblock;
use crate::connection::{Connection, Peer, ServerContext};
use crate::process::Started;
use crate::reason::Reason;

/// The child of a connection.
struct Child {
    peer: Peer,
    link: Arc<ExecLink>,
    started: Started,
}

pub(super) async fn serve<R, W>(
    settings: Arc<Settings>,
    connection: Connection<R, W>,
) -> io::Result<()>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let address = connection.peer.endpoint().socket_addr();
    let counted = address.map(|address| settings.sources.count(address.ip()));
    let number = counted.as_ref().map_or(1, |&(_, number)| number);
    match plain_socket(connection) {
        Ok(connection) => with_socket(settings, connection, number).await,
        Err(connection) => with_pipes(settings, connection, number).await,
    }
}

/// Returns the connection with its type if its socket can be given to a child.
fn plain_socket<R: 'static, W: 'static>(
    connection: Connection<R, W>,
) -> Result<Connection, Connection<R, W>> {
    if connection.has_read_ahead() {
        return Err(connection);
    }
    let mut connection = Some(connection);
    let typed = (&mut connection as &mut dyn Any).downcast_mut::<Option<Connection>>();
    if let Some(plain) = typed.and_then(|typed| typed.take_if(|typed| is_given(typed))) {
        return Ok(plain);
    }
    connection.map_or_else(|| unreachable!("it was not taken"), Err)
}

/// Returns true if the child gets the socket.
fn is_given(connection: &Connection) -> bool {
    let record = connection.peer.record();
    let context = record.context();
    connection.is_socket()
        && !context.is_some_and(ServerContext::is_rated)
        && (!context.is_some_and(ServerContext::is_timed) || record.is_measurable())
}

async fn with_socket(
    settings: Arc<Settings>,
    connection: Connection,
    number: usize,
) -> io::Result<()> {
    let peer = connection.peer.clone();
    let (socket, _) = connection.into_socket().await?;
    // Programs expect a blocking descriptor. The server's own calls do not block in either mode.
    rustix::io::ioctl_fionbio(&socket, false)?;
    let streams = [socket.as_fd(), socket.as_fd()];
    let mut child = Child::start(settings, peer, number, streams).await?;
    drop(socket);
    let exited = poll_fn(|cx| child.started.poll_exit(cx)).await;
    child.end(exited)
}

async fn with_pipes<R, W>(
    settings: Arc<Settings>,
    connection: Connection<R, W>,
    number: usize,
) -> io::Result<()>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let peer = connection.peer.clone();
    let (pipes, streams) = ChildPipes::new()?;
    let [stdin, stdout] = streams;
    let streams = [stdin.as_fd(), stdout.as_fd()];
    let mut child = Child::start(settings, peer, number, streams).await?;
    drop((stdin, stdout));
    let mut pipes = Pipes::new(connection, pipes);
    let exited = poll_fn(|cx| {
        pipes.poll(cx);
        child.started.poll_exit(cx)
    });
    let exited = exited.await;
    // After this nothing more is written to the pipe, except by processes that left the group.
    child.started.kill_rest();
    poll_fn(|cx| pipes.poll_rest(cx)).await;
    child.end(exited)?;
    pipes.result()
}

impl Child {
    async fn start(
        settings: Arc<Settings>,
        peer: Peer,
        number: usize,
        streams: [BorrowedFd<'_>; 2],
    ) -> io::Result<Self> {
        let record = peer.record();
        let link = Arc::new(ExecLink::new(record.link()));
        record.set_layer_link(link.clone());
        let variables = if settings.variables.is_some() {
            let (settings, peer) = (settings.clone(), peer.clone());
            unblock(move || Ok(settings.variables(&peer, number))).await?
        } else {
            settings.variables(&peer, number)
        };
        let started = settings.program.start(variables, streams)?;
        link.set_child(started.downgrade());
        if let Some(hook) = &settings.started {
            hook(&peer, started.id());
        }
        Ok(Self {
            peer,
            link,
            started,
        })
    }

    /// Records the exit. The drop kills the rest of the group.
    fn end(self, exited: io::Result<ExitStatus>) -> io::Result<()> {
        let status = exited?;
        let id = self.started.id();
        self.peer.set_extension(Exited { id, status });
        let record = self.peer.record();
        if self.link.asked.load(Ordering::Acquire) {
            record.set_cause(Reason::Aborted);
        } else if !status.success() {
            record.set_cause(Reason::Child);
        }
        Ok(())
    }
}
