//! TLS behind a PROXY header.

use std::net::SocketAddr;

use futures_lite::AsyncWriteExt;
use halves::Reason;
use halves::proxy_protocol::{ProxyProtocol, Version};
use halves::service::echo;
use halves::testing::{Faults, Sim, SimReader, SimWriter, Simulation};
use halves::tls::TlsConnection;

use super::random_ends;
use crate::exchange::{self, exchange};
use crate::proxy_protocol::header;
use crate::seeds::seeds;
use crate::serve::serve;

/// The header, the handshake of TLS and the payload follow at once.
#[test]
fn tls_behind_a_header_has_its_bytes() {
    let faults = Faults::default().max_piece(500);
    let simulation = Simulation::builder().seeds(seeds(30)).faults(faults);
    simulation.run(async |sim: Sim| {
        let ends = random_ends(&sim);
        let proxy = ProxyProtocol::new(Version::Any);
        let proxy = proxy.trust("10.0.0.0/8".parse().expect("a network"));
        let handler = async |c: TlsConnection<SimReader, SimWriter>| {
            assert_eq!(c.peer.endpoint().to_string(), "203.0.113.1:7");
            assert!(c.peer.tls().is_some());
            echo(c.reader, c.writer).await
        };
        let listener = proxy.listen(sim.listen("proxied")?);
        let handler = proxy.wrap(ends.acceptor.wrap(handler));
        let handle = serve(&sim, sim.server(), listener, handler);
        let mut client = sim.connect_from([10, 0, 0, 1], "proxied").await?;
        let header = header(&sim, SocketAddr::from(([203, 0, 113, 1], 7)));
        client.writer.write_all(&header).await?;
        let mut client = ends.connector.handshake(client, "localhost").await?;
        let exchanged = exchange(&sim, &mut client, exchange::bytes(&sim, 10_000)).await;
        assert!(exchanged.is_whole() && exchanged.received == exchanged.sent);
        handle.shutdown().drain();
        handle.wait_closed().await;
        assert_eq!(handle.stats().ended[Reason::Eof], 1);
        Ok(())
    });
}
