//! A client of a schedule: sends numbered bytes, and checks what comes back.

use std::io;
use std::net::IpAddr;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::Connection;

use crate::schedules::handlers::{Behaviour, HANDSHAKE_BYTES};

pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// None once the client has closed.
    connection: Option<Connection>,
    pub(crate) sent: usize,
    received: Vec<u8>,
    /// The way the stream has ended.
    pub(crate) end: Option<Result<(), io::ErrorKind>>,
}

impl Client {
    pub(crate) fn new(address: IpAddr, connection: Connection) -> Self {
        Self {
            address,
            connection: Some(connection),
            sent: 0,
            received: Vec::new(),
            end: None,
        }
    }

    /// Sends `bytes` bytes, or as many as there is room for.
    pub(crate) async fn send(&mut self, bytes: usize) {
        let bytes: Vec<_> = (self.sent..self.sent + bytes).map(numbered).collect();
        if let Some(connection) = &mut self.connection {
            let sending = future::poll_once(connection.writer.write(&bytes));
            if let Some(Ok(sent)) = sending.await {
                self.sent += sent;
            }
        }
    }

    /// Reads up to `most` bytes.
    pub(crate) async fn read(&mut self, most: usize) {
        let mut buf = vec![0; most];
        if let Some(connection) = &mut self.connection
            && self.end.is_none()
        {
            match future::poll_once(connection.reader.read(&mut buf)).await {
                Some(Ok(0)) => self.end = Some(Ok(())),
                Some(Ok(n)) => self.received.extend(&buf[..n]),
                Some(Err(error)) => self.end = Some(Err(error.kind())),
                None => {}
            }
        }
    }

    pub(crate) async fn half_close(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.writer.close().await.expect("it can be closed");
        }
    }

    pub(crate) fn hang_up(&mut self) {
        self.connection = None;
    }

    pub(crate) fn has_hung_up(&self) -> bool {
        self.connection.is_none()
    }

    pub(crate) fn received(&self) -> usize {
        self.received.len()
    }

    /// Checks that the input is a beginning of what such a handler sends.
    pub(crate) fn check(&self, behaviour: Behaviour) {
        let from = match behaviour {
            Behaviour::Echo => 0,
            Behaviour::Shake => HANDSHAKE_BYTES,
            Behaviour::Flood => return assert!(self.received.iter().all(|&byte| byte == b'f')),
            _ => return assert_eq!(self.received, b""),
        };
        let echo: Vec<_> = (from..from + self.received()).map(numbered).collect();
        assert_eq!(self.received, echo);
        assert!(self.received.is_empty() || from + self.received() <= self.sent);
    }
}

fn numbered(n: usize) -> u8 {
    u8::try_from(n % 251).expect("it is small")
}
