//! Records that a session sends by itself.

use futures_lite::{AsyncReadExt, future};
use halves::listener::memory;
use halves::tls::rustls::version::TLS13;

use super::Ends;

#[test]
fn tickets_are_sent_while_the_server_waits_for_a_request() {
    future::block_on(async {
        let (near, far) = memory::pair(65_536);
        let (beneath_client, beneath_server) = (near.peer.clone(), far.peer.clone());
        let ends = Ends::new(&TLS13).shake_hands(near, far).await;
        let (mut client, mut server) = ends.expect("they agree");
        let sent = beneath_server.bytes_out();
        let mut byte = [0];
        let waiting = future::poll_once(server.reader.read(&mut byte)).await;
        assert!(waiting.is_none(), "{waiting:?}");
        assert!(beneath_server.bytes_out() > sent, "{sent} bytes");

        // They arrive, and are no payload.
        let waiting = future::poll_once(client.reader.read(&mut byte)).await;
        assert!(waiting.is_none(), "{waiting:?}");
        assert_eq!(beneath_client.bytes_in(), beneath_server.bytes_out());
    });
}
