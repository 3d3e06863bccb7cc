//! A child beneath TLS.

use std::io;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory;
use halves::tls::{ClientSettings, ServerSettings};

use super::child::{VARIABLES, expected, parse};
use super::sh;
use crate::support::pki::Authority;

#[test]
fn variables_describe_a_tls_session() {
    let authority = Authority::new("test CA");
    let (server, client) = (authority.server(&["localhost"]), authority.client("Ann"));
    let acceptor = ServerSettings::new()
        .certificate_pem(&server.certificate, &server.key)
        .client_ca_pem(authority.pem())
        .alpn(["echo"])
        .load()
        .expect("good settings");
    let connector = ClientSettings::new()
        .ca_pem(authority.pem())
        .certificate_pem(&client.certificate, &client.key)
        .alpn(["echo"])
        .load()
        .expect("good settings");
    let (near, far) = memory::pair(1 << 16);
    let serves = async {
        let accepted = acceptor.accept(far).await?;
        let info = accepted.peer.tls().expect("TLS");
        sh(VARIABLES).serve(accepted).await?;
        io::Result::Ok(info)
    };
    let asks = async {
        let mut asked = connector.handshake(near, "localhost").await?;
        asked.writer.close().await?;
        let mut answer = String::new();
        asked.reader.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    let both = future::try_zip(serves, asks);
    let (info, answer) = smol::block_on(both).expect("no error");
    let certificate = info.peer_certificate().expect("one");
    let described = expected([
        ("SSL_PROTOCOL", "TLSv1.3".into()),
        ("SSL_CIPHER", info.cipher_suite().into()),
        ("SSL_TLS_SNI_SERVERNAME", "localhost".into()),
        ("SSL_ALPN", "echo".into()),
        (
            "SSL_PEER_CERT_HASH",
            format!("sha256:{}", certificate.fingerprint()),
        ),
        ("SSL_PEER_CERT_SUBJECT", certificate.subject().expect("one")),
    ]);
    assert_eq!(parse(&answer), described);
}
