//! Outgoing connections with TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::thread;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::proxy_protocol::{Header, Version};
use halves::tls::rustls::CertificateError;
use halves::tls::{Acceptor, ClientSettings, Connector, ServerSettings, certificate_error};
use halves::{ConnectOptions, ConnectTimings, Error, Listeners, bind};
use smol::block_on;

use super::{failed, listener};
use crate::support::pki::Authority;
use crate::support::place;

/// A server with these names, and a client that trusts its CA.
fn ends(names: &[&str]) -> (Acceptor, Connector) {
    ends_of("ca", names)
}

fn ends_of(ca: &str, names: &[&str]) -> (Acceptor, Connector) {
    let authority = Authority::new(ca);
    let leaf = authority.server(names);
    let server = ServerSettings::new().certificate_pem(&leaf.certificate, &leaf.key);
    let client = ClientSettings::new().ca_pem(authority.pem());
    (server.load().expect("good"), client.load().expect("good"))
}

async fn listeners() -> io::Result<(Listeners, String)> {
    let listeners = bind("127.0.0.1:0").await?;
    let address = listeners.local_addrs()[0].to_string();
    Ok((listeners, address))
}

#[test]
fn the_proxy_header_comes_before_tls() -> io::Result<()> {
    let (acceptor, connector) = ends(&["127.0.0.1"]);
    block_on(async {
        let (mut listeners, address) = listeners().await?;
        let server = async {
            let mut connection = halves::Listener::accept(&mut listeners).await?;
            let mut connection = connection.take().expect("a client");
            let line = connection.reader.line().await?.expect("a header");
            let mut tls = acceptor.accept(connection).await?;
            tls.writer.write_all(&line).await?;
            tls.writer.close().await
        };
        let mut timings = ConnectTimings::default();
        let options = ConnectOptions::new().tls(connector).send_proxy(Version::V1);
        let connecting = options.connect_timed(&address, &mut timings);
        let (mut client, ()) = future::try_zip(connecting, server).await?;
        let header = Header::new(client.peer.local(), client.peer.endpoint()).to_v1();
        let mut received = Vec::new();
        client.reader.read_to_end(&mut received).await?;
        assert_eq!(received, header);
        assert!(client.peer.tls().is_some());
        assert!(timings.tls.is_some());
        Ok(())
    })
}

#[test]
fn a_rejected_certificate_is_distinguished_from_other_errors() -> io::Result<()> {
    let (acceptor, _) = ends(&["127.0.0.1"]);
    let (_, stranger) = ends_of("another ca", &["127.0.0.1"]);
    for is_by_connector in [true, false] {
        let error = block_on(async {
            let (mut listeners, address) = listeners().await?;
            let server = async {
                let connection = halves::Listener::accept(&mut listeners).await?;
                let refused = acceptor.accept(connection.expect("a client")).await;
                refused.expect_err("the client refuses");
                io::Result::Ok(())
            };
            let client = async {
                let error = if is_by_connector {
                    stranger.connect(&*address).await.map(drop)
                } else {
                    let options = ConnectOptions::new().tls(stranger.clone());
                    options.connect(&*address).await.map(drop)
                };
                Ok(error.expect_err("it is from another CA"))
            };
            io::Result::Ok(future::try_zip(client, server).await?.0)
        })?;
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert_eq!(
            certificate_error(&error),
            Some(&CertificateError::UnknownIssuer)
        );
        let error = error.downcast::<Error>().expect("an error of Halves");
        assert!(matches!(error, Error::Tls { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.ends_with(" failed: certificate is from an unknown issuer"),
            "{text}"
        );
    }
    Ok(())
}

#[test]
fn a_server_that_does_not_speak_tls_is_no_certificate_error() {
    let (_, connector) = ends(&["127.0.0.1"]);
    let (listener, address) = listener();
    let server = thread::spawn(move || {
        let (mut served, _) = listener.accept().expect("a client");
        served.write_all(b"SSH-2.0-x\r\n").expect("sent");
        // Until the client is gone.
        let _ = served.read_to_end(&mut Vec::new());
    });
    let connected = block_on(
        ConnectOptions::new()
            .tls(connector.clone())
            .connect(&address),
    );
    let error = connected.expect_err("it is not TLS");
    assert_eq!(certificate_error(&error), None);
    let (kind, error) = failed(Err(error));
    assert_eq!(kind, ErrorKind::InvalidData);
    assert_eq!(
        error.to_string(),
        format!("TLS with {address} failed: not TLS: it looks like SSH")
    );
    server.join().expect("it ends");

    // Nor is a refusal.
    let refused = block_on(ConnectOptions::new().tls(connector).connect(&address));
    let error = refused.expect_err("nothing listens");
    assert_eq!(certificate_error(&error), None);
    assert!(matches!(failed(Err(error)).1, Error::Connect { .. }));
}

#[test]
fn a_server_that_ends_in_the_handshake_is_an_error_of_tls() {
    let (_, connector) = ends(&["127.0.0.1"]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound").to_string();
    let server = thread::spawn(move || {
        let (mut served, _) = listener.accept().expect("a client");
        let _ = served.read(&mut [0; 4096]);
    });
    let connected = block_on(ConnectOptions::new().tls(connector).connect(address));
    let (kind, error) = failed(connected);
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
    assert!(
        [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset].contains(&kind),
        "{error}"
    );
    server.join().expect("it ends");
}

#[test]
fn an_address_without_a_host_needs_the_name_of_the_server() -> io::Result<()> {
    let dir = place::dir();
    let path = dir.path().join("socket");
    let (_, nameless) = ends(&["db.internal"]);
    let (kind, error) = failed(block_on(ConnectOptions::new().tls(nameless).connect(&path)));
    assert_eq!(kind, ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(
        text.ends_with("failed: the address has no host: set the name of the TLS server"),
        "{text}"
    );

    let authority = Authority::new("ca");
    let leaf = authority.server(&["db.internal"]);
    let server = ServerSettings::new().certificate_pem(&leaf.certificate, &leaf.key);
    let acceptor = server.load().expect("good");
    let settings = ClientSettings::new().ca_pem(authority.pem());
    let connector = settings.server_name("db.internal").load().expect("good");
    block_on(async {
        let mut listeners = bind(&path).await?;
        let server = async {
            let connection = halves::Listener::accept(&mut listeners).await?;
            acceptor.accept(connection.expect("a client")).await
        };
        let options = ConnectOptions::new().tls(connector);
        let (client, _server) = future::try_zip(options.connect(&path), server).await?;
        let info = client.peer.tls().expect("TLS");
        assert_eq!(info.server_name(), Some("db.internal"));
        Ok(())
    })
}
