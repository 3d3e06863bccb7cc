"""The uppercase echo on asyncio streams, in the form of the servers in its documentation."""

import argparse
import asyncio


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--buffer", type=int, default=1024)
    # Without effect, as asyncio sets TCP_NODELAY itself; all peers accept the same options.
    parser.add_argument("--nodelay", action="store_true")
    return parser.parse_args()


async def main(port, size):
    async def serve(reader, writer):
        try:
            while data := await reader.read(size):
                writer.write(data.upper())
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


args = options()
asyncio.run(main(args.port, args.buffer))
