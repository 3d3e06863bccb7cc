//! The unbuffered connections of rustls, of either side, behind the same calls.

use std::ops::DerefMut;
use std::task::Poll;

use rustls::Error;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, UnbufferedConnectionCommon, UnbufferedStatus,
};

use super::records::Records;
use super::slices::{Gather, Scatter};
use crate::connection::Chunk;

/// A connection of rustls, of one side.
pub(super) trait Side: DerefMut<Target = UnbufferedConnectionCommon<Self::Data>> {
    type Data;

    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Side for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        input: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, ServerConnectionData> {
        self.process_tls_records(input)
    }
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        input: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, ClientConnectionData> {
        self.process_tls_records(input)
    }
}

/// The result of processing input.
pub(super) enum Received {
    /// Payload. The chunk has the bytes that the reader had no room for.
    Payload(Chunk),
    /// All whole records are processed.
    NeedsInput,
    /// The peer has sent `close_notify`.
    End,
}

/// Processes records up to the first one with payload, and removes them from `input`. Appends the
/// records that answer them to `answers`, also if it fails.
pub(super) fn receive(
    side: &mut impl Side,
    input: &mut Chunk,
    reader: &mut Scatter<'_, '_>,
    answers: &mut Vec<u8>,
) -> Result<Received, Error> {
    loop {
        let UnbufferedStatus { mut discard, state } = side.process(input);
        let received = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                let mut rest = Chunk::default();
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    discard += record.discard;
                    let n = reader.put(record.payload);
                    keep(&mut rest, &record.payload[n..]);
                }
                Some(Received::Payload(rest))
            }
            Ok(ConnectionState::EncodeTlsData(mut record)) => {
                encode(&mut record, answers);
                None
            }
            Ok(ConnectionState::TransmitTlsData(records)) => {
                records.done();
                None
            }
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Some(Received::End),
            Ok(ConnectionState::ReadEarlyData(_)) => {
                return Err(Error::General("early data is not accepted".into()));
            }
            Ok(_) => Some(Received::NeedsInput),
            Err(error) => {
                encode_alerts(side, answers);
                return Err(error);
            }
        };
        input.advance(discard);
        if let Some(received) = received {
            return Ok(received);
        }
    }
}

/// Appends the bytes to the chunk.
fn keep(rest: &mut Chunk, bytes: &[u8]) {
    if !bytes.is_empty() {
        let _ = rest.poll_append(rest.len() + bytes.len(), |room| {
            room[..bytes.len()].copy_from_slice(bytes);
            Poll::Ready(Ok::<_, ()>(bytes.len()))
        });
    }
}

/// Appends the alert of a failure. It does not process input, since the same error would come again.
fn encode_alerts(side: &mut impl Side, answers: &mut Vec<u8>) {
    while side.wants_write() {
        let Ok(ConnectionState::EncodeTlsData(mut record)) = side.process(&mut []).state else {
            return;
        };
        encode(&mut record, answers);
    }
}

fn encode<D>(record: &mut EncodeTlsData<'_, D>, answers: &mut Vec<u8>) {
    let end = answers.len();
    let mut size = 0;
    loop {
        answers.resize(end + size, 0);
        match record.encode(&mut answers[end..]) {
            Err(EncodeError::InsufficientSize(error)) => size = error.required_size,
            Err(EncodeError::AlreadyEncoded) | Ok(_) => return,
        }
    }
}

/// The records that a write makes.
pub(super) enum Sent<'a, 'b> {
    Payload(&'a mut Gather<'b>),
    CloseNotify,
}

/// Appends the answers, and then the encrypted records, to `out`. `input` are the bytes to which
/// rustls may have kept offsets.
pub(super) fn send(
    side: &mut impl Side,
    input: &mut [u8],
    answers: &mut Vec<u8>,
    sent: Sent<'_, '_>,
    out: &mut Records,
) -> Result<(), Error> {
    let failed = |_| Error::EncryptError;
    loop {
        match side.process(input).state? {
            ConnectionState::WriteTraffic(mut traffic) => {
                out.append(&std::mem::take(answers));
                return match sent {
                    Sent::CloseNotify => out
                        .fill(|room| traffic.queue_close_notify(room))
                        .map_err(failed),
                    Sent::Payload(gather) => {
                        while let Some(piece) = gather.next_piece() {
                            out.fill(|room| traffic.encrypt(piece, room))
                                .map_err(failed)?;
                        }
                        Ok(())
                    }
                };
            }
            ConnectionState::EncodeTlsData(mut record) => encode(&mut record, answers),
            ConnectionState::TransmitTlsData(records) => records.done(),
            ConnectionState::PeerClosed => {}
            _ => return Err(Error::HandshakeNotComplete),
        }
    }
}
