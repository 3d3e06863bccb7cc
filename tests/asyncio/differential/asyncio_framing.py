"""asyncio's StreamReader, fed by hand. framing.rs compares the frames of Halves with it.

The first line of its output is whether `readuntil` accepts several separators. Each line of its
standard input is a case, and it answers with a line of outcomes:

    LIMIT PIECE,PIECE,... CALL,CALL,...

A piece is fed when a call waits, and the end of input after the last. Bytes are hexadecimal; `l` reads a
line, `u:BYTES[:BYTES...]` up to a separator, `e:NUMBER` so many bytes. If a frame is too long, the bytes
that can be passed over are consumed.
"""

import asyncio
import sys


async def outcome(reader, call):
    """One call: `f` a frame, `i` an incomplete one, `o` one over the limit."""
    kind, *operands = call.split(":")
    try:
        if kind == "l":
            frame = await reader.readline()
        elif kind == "e":
            frame = await reader.readexactly(int(operands[0]))
        else:
            ends = tuple(bytes.fromhex(end) for end in operands)
            frame = await reader.readuntil(ends if len(ends) > 1 else ends[0])
        return "f:" + frame.hex()
    except asyncio.IncompleteReadError as error:
        return f"i:{error.partial.hex()}:{error.expected}"
    except asyncio.LimitOverrunError as error:
        await reader.readexactly(error.consumed)
        return f"o:{error.consumed}"
    except ValueError:
        # readline has passed it over.
        return "o"


async def play(line):
    limit, pieces, calls = line.rstrip("\n").split(" ")
    reader = asyncio.StreamReader(limit=int(limit))
    pieces = [bytes.fromhex(piece) for piece in pieces.split(",") if piece]
    outcomes = []
    for call in calls.split(","):
        task = asyncio.ensure_future(outcome(reader, call))
        while True:
            # Once to begin, or to go on after a feed. A call that still waits needs more.
            for _ in range(3):
                await asyncio.sleep(0)
            if task.done():
                break
            if pieces:
                reader.feed_data(pieces.pop(0))
            else:
                reader.feed_eof()
        outcomes.append(task.result())
    return ",".join(outcomes)


async def main():
    print("several" if sys.version_info >= (3, 13) else "one", flush=True)
    for line in sys.stdin:
        print(await play(line), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
