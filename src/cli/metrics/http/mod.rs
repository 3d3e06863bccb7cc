//! HTTP/1.1 and 1.0, as far as a metrics listener needs it: requests without a body, one after
//! another, with limits on everything.

mod request;
mod response;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncWrite, AsyncWriteExt};
use halves::framing::FrameError;
use halves::{Clock, Connection, Peer, Reader, Writer};

pub(super) use request::Request;
pub(super) use response::{Response, Status};

/// The size of a request line and its header fields, without the line end of the last one.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// The number of requests on one connection.
const MAX_REQUESTS: usize = 1000;
/// The time for the first byte of a connection, and again for the rest of each head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The time for the first byte of a further request. Short, as idle clients may keep others out.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// The time in which a client must take a whole response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The requests and responses of one connection. Pipelined requests are answered in their order.
pub(super) struct Exchange<R, W> {
    reader: Reader<R>,
    writer: Writer<W>,
    peer: Peer,
    clock: Clock,
    requests: usize,
    /// True if the response to the current request leaves the body out.
    is_head: bool,
    /// True if the connection ends after the next response.
    is_last: bool,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Exchange<R, W> {
    pub(super) fn new(connection: Connection<R, W>, clock: Clock) -> Self {
        let Connection {
            mut reader,
            writer,
            peer,
        } = connection;
        // The CR of the last line is in the frame, its LF in the separator.
        reader.set_frame_limit(MAX_HEAD_BYTES + 1);
        Self {
            reader,
            writer,
            peer,
            clock,
            requests: 0,
            is_head: false,
            is_last: false,
        }
    }

    /// Waits for a request. Answers a bad one itself. Returns `None` if the connection ends: there
    /// is no further request, it was bad, its time is over, or the server drains.
    pub(super) async fn next(&mut self) -> io::Result<Option<Request>> {
        if self.is_last || !self.has_more().await? {
            return Ok(None);
        }
        let head = next_head(&mut self.reader);
        let request = match self.clock.timeout(HEAD_TIMEOUT, head).await {
            Ok(Ok(Some(head))) => Request::parse(&head),
            Ok(Ok(None) | Err(FrameError::Incomplete { .. })) => return Ok(None),
            Ok(Err(FrameError::Io(error))) => return Err(error),
            Ok(Err(_too_long)) => {
                let limit = format!("the request line and headers exceed {MAX_HEAD_BYTES} bytes");
                Err(Response::error(Status::HEAD_TOO_LARGE, &limit))
            }
            Err(_timeout) => {
                let late = format!("no whole request within {HEAD_TIMEOUT:?}");
                Err(Response::error(Status::REQUEST_TIMEOUT, &late))
            }
        };
        match request {
            Ok(request) => {
                self.requests += 1;
                self.is_head = request.is_head;
                let is_draining = self.peer.shutdown().is_draining();
                self.is_last = !request.keeps_alive || is_draining || self.requests == MAX_REQUESTS;
                Ok(Some(request))
            }
            Err(refusal) => {
                (self.is_head, self.is_last) = (false, true);
                self.respond(&refusal).await?;
                Ok(None)
            }
        }
    }

    /// Waits for the first byte of a request.
    async fn has_more(&mut self) -> io::Result<bool> {
        let timeout = match self.requests {
            0 => HEAD_TIMEOUT,
            _ => IDLE_TIMEOUT,
        };
        let more = self.clock.timeout(timeout, self.reader.more_or_drain());
        more.await.unwrap_or(Ok(false))
    }

    /// Answers the request that [`next`](Self::next) has returned.
    pub(super) async fn respond(&mut self, response: &Response) -> io::Result<()> {
        let bytes = response.encode(self.is_head, self.is_last);
        let write = self.writer.write_all(&bytes);
        self.clock.timeout(RESPONSE_TIMEOUT, write).await?
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }
}

/// Reads a head, up to the empty line at its end. Skips empty lines before it (RFC 9112, 2.2).
async fn next_head<R: AsyncRead + Unpin>(
    reader: &mut Reader<R>,
) -> Result<Option<Vec<u8>>, FrameError> {
    loop {
        let head = reader.until(&[b"\n\r\n", b"\n\n"]).await?;
        match head {
            Some(head) if head.trim_ascii().is_empty() => {}
            head => return Ok(head),
        }
    }
}
