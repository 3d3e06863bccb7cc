//! A check of both ends of TLS that holds for any input: it ends in an error or by `close_notify`, and
//! never in a panic. A target of `fuzz` shares it.

use std::io;
use std::sync::{Arc, OnceLock};

use futures_lite::future::{self, block_on};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::listener::memory::{self, MemoryConnection};
use halves::tls::{Acceptor, Connector, ServerSettings};
use rustls::crypto::ring::default_provider;
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::forger::Forger;
use super::tls_peer::TlsPeer;

/// The capacity of the pipes. They take each input whole.
const BOUND: usize = 1 << 20;

struct World {
    acceptor: Acceptor,
    connector: Connector,
    /// The first bytes of a client.
    hello: Vec<u8>,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a name");
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let settings = ServerSettings::new().certificate_pem(chain, key);
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a certificate");
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])
            .expect("ciphers")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.enable_secret_extraction = true;
        let config = Arc::new(config);
        let mut hello = Vec::new();
        let mut client = client(config.clone());
        client.write_tls(&mut hello).expect("it is in memory");
        World {
            acceptor: settings.load().expect("good settings"),
            connector: config.into(),
            hello,
        }
    })
}

fn client(config: Arc<ClientConfig>) -> ClientConnection {
    let name = "localhost".try_into().expect("a name");
    ClientConnection::new(config, name).expect("a config")
}

/// Returns one end of a connection. The other has sent these bytes, and then the end.
async fn fed(bytes: &[u8]) -> (MemoryConnection, MemoryConnection) {
    let (mut near, far) = memory::pair(BOUND);
    near.writer.write_all(bytes).await.expect("there is room");
    near.writer.close().await.expect("it closes");
    (far, near)
}

/// Checks one input. The first byte chooses its use.
pub(crate) fn check(input: &[u8]) {
    let (&choice, input) = input.split_first().unwrap_or((&0, &[]));
    block_on(async {
        match choice % 5 {
            0 => accept(input).await,
            1 => accept(&mixed(&world().hello, input)).await,
            2 => connect(input).await,
            3 => receive(|_| input.to_vec()).await,
            _ => receive(|forger| forged(forger, input)).await,
        }
    });
}

/// These bytes, with some of them changed. Each pair of input bytes is a place and a change.
fn mixed(bytes: &[u8], input: &[u8]) -> Vec<u8> {
    let mut mixed = bytes.to_vec();
    for change in input.chunks_exact(2) {
        let place = usize::from(change[0]) * bytes.len() / 256;
        mixed[place] ^= change[1];
    }
    mixed
}

async fn accept(input: &[u8]) {
    let (server, _client) = fed(input).await;
    let accepted = world().acceptor.accept(server).await;
    accepted.expect_err("the client has not finished");
}

async fn connect(input: &[u8]) {
    let (client, _server) = fed(input).await;
    let connected = world().connector.handshake(client, "localhost").await;
    connected.expect_err("the server has no key");
}

/// Records made of input: in turn a type, a length, and as many bytes.
fn forged(forger: &mut Forger, mut input: &[u8]) -> Vec<u8> {
    let mut records = Vec::new();
    while let [content_type, length, rest @ ..] = input {
        let (content, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        // Mostly types that exist.
        let content_type = match content_type % 8 {
            n @ 0..6 => 20 + n,
            _ => *content_type,
        };
        records.extend(forger.record(content_type, content));
        input = rest;
    }
    records
}

/// After a handshake the server receives these bytes. It writes between its reads.
async fn receive(bytes: impl FnOnce(&mut Forger) -> Vec<u8>) {
    let (near, far) = memory::pair(BOUND);
    let mut peer = TlsPeer::new(client(world().connector.config()), near);
    let accept = world().acceptor.accept(far);
    let shaken = future::try_zip(peer.shake_hands(), accept).await;
    let ((), mut server) = shaken.expect("both are good");
    let TlsPeer { session, beneath } = peer;
    let (mut writer, mut forger) = (beneath.writer, Forger::new(session));
    let bytes = bytes(&mut forger);
    let feed = async {
        for piece in bytes.chunks(100) {
            writer.write_all(piece).await?;
            future::yield_now().await;
        }
        writer.close().await
    };
    let read = async {
        let mut buf = [0; 50];
        loop {
            let written = server.writer.write(b"between").await;
            if server.reader.read(&mut buf).await? == 0 {
                return io::Result::Ok(());
            }
            written?;
        }
    };
    let (fed, read) = future::zip(feed, read).await;
    fed.expect("there is room");
    if let Err(error) = read {
        use io::ErrorKind::{InvalidData, UnexpectedEof};
        assert!(
            matches!(error.kind(), InvalidData | UnexpectedEof),
            "{error}"
        );
        // The error stays.
        let again = server.reader.read(&mut [0]).await.expect_err("it stays");
        assert_eq!(again.kind(), error.kind());
        assert_eq!(again.to_string(), error.to_string());
    }
}
