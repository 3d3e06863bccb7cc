//! One end of a TLS connection that is not of this crate: rustls with its own buffers.

use std::io::{self, ErrorKind, Read, Write};

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use halves::Connection;
use rustls::Connection as Session;

/// A client or a server on a connection in clear text.
pub(crate) struct TlsPeer<R, W> {
    pub(crate) session: Session,
    pub(crate) beneath: Connection<R, W>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> TlsPeer<R, W> {
    pub(crate) fn new(session: impl Into<Session>, beneath: Connection<R, W>) -> Self {
        Self {
            session: session.into(),
            beneath,
        }
    }

    pub(crate) async fn shake_hands(&mut self) -> io::Result<()> {
        while self.session.is_handshaking() {
            self.send().await?;
            if self.session.is_handshaking() && !self.receive().await? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        self.send().await
    }

    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        for bytes in bytes.chunks(16_384) {
            self.session.writer().write_all(bytes)?;
            self.send().await?;
        }
        Ok(())
    }

    /// Sends the records that are due.
    pub(crate) async fn send(&mut self) -> io::Result<()> {
        let mut records = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut records)?;
        }
        self.beneath.writer.write_all(&records).await?;
        self.beneath.writer.flush().await
    }

    /// Ends the output with `close_notify`, and the stream beneath with it.
    pub(crate) async fn close(&mut self) -> io::Result<()> {
        self.session.send_close_notify();
        self.send().await?;
        self.beneath.writer.close().await
    }

    /// Reads payload. Returns 0 after `close_notify`.
    pub(crate) async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buf) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.receive().await?;
                }
                read => return read,
            }
        }
    }

    pub(crate) async fn read_exact(&mut self, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read(buf).await? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                n => buf = &mut buf[n..],
            }
        }
        Ok(())
    }

    /// Reads up to `close_notify`.
    pub(crate) async fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let (mut all, mut buf) = (Vec::new(), vec![0; 16_384]);
        loop {
            match self.read(&mut buf).await? {
                0 => return Ok(all),
                n => all.extend_from_slice(&buf[..n]),
            }
        }
    }

    /// Waits for bytes, and processes them. Returns false at the end of the stream. An error is that
    /// of the session, or of the stream.
    async fn receive(&mut self) -> io::Result<bool> {
        let mut buf = [0; 4096];
        let received = self.beneath.reader.read(&mut buf).await?;
        let mut bytes = &buf[..received];
        loop {
            // No bytes are the end of the stream.
            self.session.read_tls(&mut bytes)?;
            let processed = self.session.process_new_packets();
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            if bytes.is_empty() {
                return Ok(received > 0);
            }
        }
    }
}
