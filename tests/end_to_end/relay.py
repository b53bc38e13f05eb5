"""A Relay: the wire before a farmer or a chain, on which a test chooses the moment at which something dies.

It passes bytes on as they come. A Trap waits for a request that carries its mark; the moment says how far
that request, or its answer, still gets before the trap acts and the line is cut.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

CHUNK = 65_536
HEAD_END = b"\r\n\r\n"
GO_ON = b"HTTP/1.1 100 "
"""Asks for the body of a request: not its answer yet."""


class Moment(Enum):
    ASKED = "the request was sent, and arrives nowhere"
    WORKING = "the request has arrived, its answer gets nowhere"
    ANSWERED = "the answer has been given, and arrives nowhere"


@dataclass(slots=True)
class Trap:
    """Acts once. `skip`: requests with the mark that pass unharmed before."""

    mark: bytes
    moment: Moment
    act: Callable[[], Awaitable[object]]
    skip: int = 0
    sprung: asyncio.Event = field(default_factory=asyncio.Event)
    acting: asyncio.Task[None] | None = None

    async def spring(self) -> None:
        """Act to the end, even where what dies takes the line with it."""
        if self.acting is None:
            self.acting = asyncio.create_task(self._act())
        await asyncio.shield(self.acting)

    async def _act(self) -> None:
        await self.act()
        self.sprung.set()


class Relay:
    """Listens on a port of its own and passes on to `target`, a port of this machine, unless it was cut."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.trap: Trap | None = None
        self.url = ""
        self._down = False
        self._lines: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, target: int) -> AsyncIterator[Self]:
        relay = cls(target)
        server = await asyncio.start_server(relay._accept, "127.0.0.1", 0)
        relay.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield relay
        finally:
            server.close()
            relay._hang_up()
            await asyncio.gather(*relay._lines, return_exceptions=True)
            await server.wait_closed()

    def set_trap(
        self, mark: bytes, moment: Moment, act: Callable[[], Awaitable[object]], *, skip: int = 0
    ) -> Trap:
        self.trap = Trap(mark, moment, act, skip)
        return self.trap

    async def cut(self) -> None:
        """Let nothing through any more; the line on which a trap acts ends by itself."""
        self._down = True
        self._hang_up()

    def mend(self, target: int | None = None) -> None:
        """Let everything through again, perhaps to somewhere else."""
        self.target = self.target if target is None else target
        self._down = False

    def _hang_up(self) -> None:
        for line in self._lines:
            line.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.create_task(self._line(reader, writer))
        self._lines.add(line)
        line.add_done_callback(self._lines.discard)

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side has had enough or a trap has acted."""
        writers = [writer]
        try:
            if self._down:
                return
            answers, onward = await asyncio.open_connection("127.0.0.1", self.target)
            writers.append(onward)
            caught: list[Trap] = []
            ways = [
                asyncio.create_task(self._ask(reader, onward, caught)),
                asyncio.create_task(_answer(answers, writer, caught)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                await asyncio.gather(*(trap.acting for trap in caught if trap.acting))
        except OSError:
            return
        finally:
            for one in writers:
                one.transport.abort()

    async def _ask(
        self, reader: asyncio.StreamReader, onward: asyncio.StreamWriter, caught: list[Trap]
    ) -> None:
        """Pass requests on. One that is `caught` gets no answer through; its trap acts now or upon that."""
        while data := await reader.read(CHUNK):
            trap = self._match(data)
            if trap is None:
                await _send(onward, data)
                continue
            caught.append(trap)
            if trap.moment is not Moment.ASKED:
                await _pass_whole(data, reader, onward)
            if trap.moment is not Moment.ANSWERED:
                await trap.spring()
                return

    def _match(self, data: bytes) -> Trap | None:
        trap = self.trap
        if trap is None or trap.mark not in data:
            return None
        if trap.skip:
            trap.skip -= 1
            return None
        self.trap = None
        return trap


async def _answer(answers: asyncio.StreamReader, writer: asyncio.StreamWriter, caught: list[Trap]) -> None:
    while data := await answers.read(CHUNK):
        if caught and not (data.startswith(GO_ON) and data.endswith(HEAD_END)):
            await caught[0].spring()
            return
        await _send(writer, data)


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def _pass_whole(data: bytes, reader: asyncio.StreamReader, onward: asyncio.StreamWriter) -> None:
    """Pass on a request that has begun, to its end: its body may wait until it is asked for."""
    await _send(onward, data)
    while HEAD_END not in data:
        data += await _pass_more(reader, onward)
    head = data[: data.index(HEAD_END)]
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    whole = len(head) + len(HEAD_END) + (int(length[1]) if length else 0)
    passed = len(data)
    while passed < whole:
        passed += len(await _pass_more(reader, onward))


async def _pass_more(reader: asyncio.StreamReader, onward: asyncio.StreamWriter) -> bytes:
    data = await reader.read(CHUNK)
    if not data:
        raise EOFError
    await _send(onward, data)
    return data
