"""A slow line: a socket before another one, from which everything comes back a while later.

It stands in front of a node that knows nothing of it. The delay is that of the wire: bytes that follow each
other stay as close together as they were.

    python -m scripts.storage.relay PORT TARGET SECONDS
"""

import asyncio
import sys
import time
from dataclasses import dataclass, field
from typing import Final

from scripts.storage.child import serve

PIECE: Final = 64 * 1024
PIECES: Final = 1_024
"""Under way on one connection at most."""


@dataclass
class SlowLine:
    """Listens on `port`, passes on to `target` of this machine; answers arrive `seconds` later."""

    port: int
    target: int
    seconds: float
    _server: asyncio.Server | None = None
    _lines: set["asyncio.Task[None]"] = field(default_factory=set)

    async def start(self) -> None:
        """Begin to listen. Raises OSError."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Hang up everywhere."""
        if self._server is None:
            return
        self._server.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.create_task(self._line(reader, writer))
        self._lines.add(line)
        line.add_done_callback(self._lines.discard)

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until both sides have said all, or one is gone."""
        writers = [writer]
        try:
            answers, onward = await asyncio.open_connection("127.0.0.1", self.target)
            writers.append(onward)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pass(reader, onward, 0.0))
                group.create_task(_pass(answers, writer, self.seconds))
        except* OSError:
            pass
        finally:
            for one in writers:
                one.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Pass everything on, each piece so many seconds after it came."""
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(PIECES)

    async def collect() -> None:
        while piece := await reader.read(PIECE):
            await pieces.put((time.monotonic() + seconds, piece))
        await pieces.put((time.monotonic() + seconds, b""))

    async with asyncio.TaskGroup() as group:
        group.create_task(collect())
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(due - time.monotonic())
            if not piece:
                writer.write_eof()
                return
            writer.write(piece)
            await writer.drain()


async def main(port: int, target: int, seconds: float) -> None:
    """Be one slow line until the input ends."""
    line = SlowLine(port, target, seconds)
    await line.start()
    await serve({})
    await line.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
