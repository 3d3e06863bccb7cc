//! Sessions against the buffered connections of rustls.

mod failing;
#[path = "../../../../tests/support/forger.rs"]
mod forger;
mod received;
mod seed;
mod sent;

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::sync::Arc;
use std::task::Poll;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::client::Resumption;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, Connection as Peer, RootCertStore, ServerConfig,
    ServerConnection, SupportedProtocolVersion,
};

use super::*;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// The side of the session under test.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Server,
    Client,
}

/// Configs of both sides for one version.
fn configs(version: &'static SupportedProtocolVersion) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let params = CertificateParams::new(["localhost".into()]).expect("a name");
    let certificate = params.self_signed(&key).expect("signed");
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[version])
        .expect("ciphers")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            key.serialize_der().try_into().expect("a key"),
        )
        .expect("a key of the certificate");
    server.enable_secret_extraction = true;
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("ciphers")
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.resumption = Resumption::disabled();
    client.enable_secret_extraction = true;
    (Arc::new(server), Arc::new(client))
}

/// A session and its peer, and the bytes under way to each of them.
struct Pair {
    session: Session,
    peer: Peer,
    to_session: Vec<u8>,
    to_peer: Vec<u8>,
}

impl Pair {
    fn new(version: &'static SupportedProtocolVersion, at: At) -> Self {
        let (server, client) = configs(version);
        let name = || "localhost".try_into().expect("a name");
        let (session, peer): (Session, Peer) = match at {
            At::Server => (
                UnbufferedServerConnection::new(server)
                    .expect("a config")
                    .into(),
                ClientConnection::new(client, name())
                    .expect("a config")
                    .into(),
            ),
            At::Client => (
                UnbufferedClientConnection::new(client, name())
                    .expect("a config")
                    .into(),
                ServerConnection::new(server).expect("a config").into(),
            ),
        };
        Self {
            session,
            peer,
            to_session: Vec::new(),
            to_peer: Vec::new(),
        }
    }

    /// A pair after its handshake.
    fn connected(version: &'static SupportedProtocolVersion, at: At) -> Self {
        let mut pair = Self::new(version, at);
        pair.shake_hands(|| usize::MAX);
        pair
    }

    /// Does the handshake. `size` returns the number of bytes in each read of the session.
    fn shake_hands(&mut self, mut size: impl FnMut() -> usize) {
        loop {
            let complete = self.session.handshake().expect("no error");
            self.send_answers();
            self.deliver_to_peer();
            if complete && !self.peer.is_handshaking() {
                break;
            }
            self.collect_from_peer();
            assert!(self.give(size()) > 0 || complete, "the handshake stops");
        }
        // Tickets, which the peer sends after the handshake.
        self.collect_from_peer();
        while self.give(size()) > 0 {
            assert_eq!(self.read(1), None, "no payload yet");
        }
    }

    fn send_answers(&mut self) {
        self.to_peer.append(&mut self.session.take_answers());
    }

    /// Lets the peer process the bytes under way to it.
    fn deliver_to_peer(&mut self) {
        let mut bytes = &self.to_peer[..];
        while !bytes.is_empty() {
            self.peer.read_tls(&mut bytes).expect("it is in memory");
            self.peer.process_new_packets().expect("no error");
        }
        self.to_peer.clear();
    }

    fn collect_from_peer(&mut self) {
        while self.peer.wants_write() {
            self.peer
                .write_tls(&mut self.to_session)
                .expect("it is in memory");
        }
    }

    /// Gives the session at most `size` bytes of those under way. Returns their number.
    fn give(&mut self, size: usize) -> usize {
        let size = size.min(self.to_session.len());
        let given = give(&mut self.session, &self.to_session[..size]);
        self.to_session.drain(..given);
        given
    }

    /// Reads into a buffer of this size. Returns `None` if the session needs more bytes.
    fn read(&mut self, size: usize) -> Option<Vec<u8>> {
        read(&mut self.session, size).expect("no error")
    }

    /// Sends bytes of the peer to the session, as one piece of the stream.
    fn peer_writes(&mut self, bytes: &[u8]) {
        for bytes in bytes.chunks(16_384) {
            self.peer
                .writer()
                .write_all(bytes)
                .expect("it is in memory");
            self.collect_from_peer();
        }
    }

    /// Returns what the peer has read.
    fn peer_reads(&mut self) -> Vec<u8> {
        let (mut all, mut bytes) = (Vec::new(), &self.to_peer[..]);
        while !bytes.is_empty() {
            self.peer.read_tls(&mut bytes).expect("it is in memory");
            self.peer.process_new_packets().expect("no error");
            // Fails if there is no payload in what was processed.
            let _ = self.peer.reader().read_to_end(&mut all);
        }
        self.to_peer.clear();
        all
    }

    fn write(&mut self, bufs: &[&[u8]]) -> io::Result<usize> {
        let bufs: Vec<_> = bufs.iter().map(|buf| IoSlice::new(buf)).collect();
        let mut out = Records::new();
        let written = self.session.write(&bufs, &mut out);
        self.to_peer.extend_from_slice(out.as_slice());
        written
    }

    fn close(&mut self) {
        let mut out = Records::new();
        self.session.close(&mut out).expect("no error");
        self.to_peer.extend_from_slice(out.as_slice());
    }
}

/// Gives bytes to a session, as many as one read takes. Returns their number.
fn give(session: &mut Session, bytes: &[u8]) -> usize {
    let (mut chunk, mut given) = (Chunk::default(), 0);
    if bytes.is_empty() {
        return 0;
    }
    let filled = chunk.poll_fill_behind(session.held(), |room| {
        given = room.len().min(bytes.len());
        room[..given].copy_from_slice(&bytes[..given]);
        Poll::Ready(Ok::<_, ()>(given))
    });
    assert!(filled.is_ready());
    session.receive(chunk);
    given
}

fn read(session: &mut Session, size: usize) -> io::Result<Option<Vec<u8>>> {
    let mut buf = vec![0; size];
    let n = session.read(&mut Scatter::new(&mut [IoSliceMut::new(&mut buf)]))?;
    Ok(n.map(|n| buf[..n].to_vec()))
}

/// Bytes that reveal their order.
fn pattern(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

/// The lengths of the records in `bytes`, which are all whole.
fn records(mut bytes: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let [_, _, _, high, low, ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        lengths.push(length);
        bytes = &bytes[5 + length..];
    }
    assert!(bytes.is_empty(), "a partial record");
    lengths
}
