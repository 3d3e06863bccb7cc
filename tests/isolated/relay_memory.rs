//! The heap memory of an idle relay. The test counts what the whole process allocates.

#![cfg(all(target_os = "linux", not(halves_portable)))]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use halves::service::{Relay, Target};
use halves::{Executor, Server, Shutdown, bind};

use super::allocations::Held;

/// Idle relays. Each has four sockets in this process.
const RELAYS: usize = 200;
/// The most for each, with its entries in lists that grow to powers of two.
const MAX_BYTES_PER_RELAY: usize = 1200;

/// Echoes one byte at a time on connections that it keeps, as many as there is room for.
fn origin() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        let mut streams = Vec::with_capacity(RELAYS + 1);
        while streams.len() < streams.capacity() {
            let (mut stream, _) = listener.accept()?;
            for _ in 0..3 {
                let mut byte = [0];
                stream.read_exact(&mut byte)?;
                stream.write_all(&byte)?;
            }
            streams.push(stream);
        }
        // Until the relay ends.
        streams[0].read_exact(&mut [0])
    });
    Ok(address)
}

/// Connects, and sends a byte to and fro three times: the sockets are registered by then.
fn connect(relay: SocketAddr) -> io::Result<TcpStream> {
    let mut client = TcpStream::connect(relay)?;
    for _ in 0..3 {
        client.write_all(b"a")?;
        client.read_exact(&mut [0])?;
    }
    Ok(client)
}

pub(crate) fn an_idle_relay_has_no_buffer() -> io::Result<()> {
    let shutdown = Shutdown::default();
    let server = Server::default().shutdown(shutdown.clone());
    let target = Target::new(origin()?).map_err(io::Error::from)?;
    let at = Arc::new(Mutex::new(None));
    let found = at.clone();
    let serving = thread::spawn(move || {
        let ex = Executor::new();
        let relay = Relay::to(target);
        ex.block_on(async {
            let listeners = bind("127.0.0.1:0").await?;
            *found.lock().expect("no panic") = listeners.local_addrs()[0].socket_addr();
            server.serve(&ex, listeners, move |c| relay.serve(c)).await
        })
    });
    let relay = loop {
        if let Some(at) = *at.lock().expect("no panic") {
            break at;
        }
        thread::yield_now();
    };
    let mut clients = Vec::with_capacity(RELAYS + 1);
    // Allocates what stays.
    clients.push(connect(relay)?);
    let before = Held::now();
    for _ in 0..RELAYS {
        clients.push(connect(relay)?);
    }
    let held = Held::now().since(before);
    let each = held.bytes / RELAYS;
    assert!(each <= MAX_BYTES_PER_RELAY, "{each} bytes");
    drop(clients);
    shutdown.abort();
    serving.join().expect("no panic").map(drop)
}
