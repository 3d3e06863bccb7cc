"""Clients over the ssl module, for a server of upper: client.py CLIENT PORT CAFILE"""

import asyncio
import hashlib
import socket
import ssl
import sys

HOST = "localhost"
PORT = int(sys.argv[2])
CONTEXT = ssl.create_default_context(cafile=sys.argv[3])
TIMEOUT = 30
MUCH = b"".join(b"line %d\n" % n for n in range(400_000))


def connect():
    return socket.create_connection(("127.0.0.1", PORT), TIMEOUT)


def secure():
    # An end without close_notify is an error.
    return CONTEXT.wrap_socket(connect(), server_hostname=HOST, suppress_ragged_eofs=False)


def ask(client):
    client.sendall(b"hello")
    answer = client.recv(5)
    assert answer == b"HELLO", answer


def digest(text):
    return hashlib.sha256(text).hexdigest()


def blocking():
    """Closes in order: both sides send close_notify, and then end."""
    client = secure()
    ask(client)
    beneath = client.unwrap()
    assert beneath.recv(1) == b""


def blocking_12():
    CONTEXT.maximum_version = ssl.TLSVersion.TLSv1_2
    blocking()


def abrupt():
    """Closes the socket without close_notify."""
    client = secure()
    ask(client)
    client.close()


def half():
    """Ends its side of the socket without close_notify. The answer still arrives."""
    outgoing, incoming = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = CONTEXT.wrap_bio(incoming, outgoing, server_hostname=HOST)
    beneath = connect()
    pump(beneath, session.do_handshake, incoming, outgoing)
    session.write(b"hello")
    beneath.sendall(outgoing.read())
    beneath.shutdown(socket.SHUT_WR)
    answer = pump(beneath, lambda: session.read(5), incoming, outgoing)
    assert answer == b"HELLO", answer


def word():
    """Reads until the server ends in order."""
    client = secure()
    ask(client)
    client.sendall(b"bye")
    assert client.recv(1) == b""


def pump(beneath, call, incoming, outgoing):
    """Calls until it does not want to read any more."""
    while True:
        try:
            result = call()
        except ssl.SSLWantReadError:
            if outgoing.pending:
                beneath.sendall(outgoing.read())
            received = beneath.recv(65536)
            incoming.write(received) if received else incoming.write_eof()
        else:
            if outgoing.pending:
                beneath.sendall(outgoing.read())
            return result


def memory():
    """Sends a request with close_notify behind it, and then reads the answer."""
    outgoing, incoming = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = CONTEXT.wrap_bio(incoming, outgoing, server_hostname=HOST)
    beneath = connect()
    pump(beneath, session.do_handshake, incoming, outgoing)
    session.write(b"hello")
    try:
        session.unwrap()
    except ssl.SSLWantReadError:
        pass
    beneath.sendall(outgoing.read())
    beneath.shutdown(socket.SHUT_WR)
    answer = pump(beneath, lambda: session.read(5), incoming, outgoing)
    assert answer == b"HELLO", answer
    # The close_notify of the server.
    pump(beneath, session.unwrap, incoming, outgoing)
    assert beneath.recv(1) == b""


async def exchange(reader, writer):
    """Writes and reads at the same time."""

    async def write():
        for at in range(0, len(MUCH), 50_000):
            writer.write(MUCH[at : at + 50_000])
            await writer.drain()

    _, answer = await asyncio.gather(write(), reader.readexactly(len(MUCH)))
    assert digest(answer) == digest(MUCH.upper())
    writer.close()
    await writer.wait_closed()


async def streams():
    await exchange(
        *await asyncio.open_connection(
            "127.0.0.1", PORT, ssl=CONTEXT, server_hostname=HOST
        )
    )


async def upgraded():
    """Connects first, and starts TLS on the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    await writer.start_tls(CONTEXT, server_hostname=HOST)
    await exchange(reader, writer)


def open_connection():
    asyncio.run(asyncio.wait_for(streams(), TIMEOUT))


def start_tls():
    if sys.version_info < (3, 11):
        sys.exit(77)
    asyncio.run(asyncio.wait_for(upgraded(), TIMEOUT))


globals()[sys.argv[1]]()
