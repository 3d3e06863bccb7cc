"""The uppercase service on asyncio's streams. mod.rs compares the service of Halves with it.

Run `python3 asyncio_upper.py`: it listens on a free port of 127.0.0.1, prints the port, and serves
until its standard input ends.
"""

import asyncio
import sys

CHUNK = 64 * 1024


async def upper(reader, writer):
    """Answers a to z in capitals until the end of input, and flushes before it ends."""
    try:
        # bytes.upper() leaves everything but a to z as it is.
        while data := await reader.read(CHUNK):
            writer.write(data.upper())
            # Bounded memory: reads no more while the client takes no answers.
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass


async def end_of_input(stream):
    """Waits until whoever started us closes our standard input, or is gone."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), stream
    )
    await reader.read()


async def main():
    server = await asyncio.start_server(upper, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await end_of_input(sys.stdin)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
