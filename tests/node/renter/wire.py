"""A wire between renter and farmer that can be cut, delayed and tampered with: a small real HTTP proxy."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO

import aiohttp
from aiohttp import web

Tamper = Callable[[str, bytes], bytes]
"""Changes an answer's body, given the request's path."""

_KEPT = ("Content-Type",)


@dataclass
class Wire:
    """Forwards to `behind`.

    What begins as one of `lose_requests` ("METHOD /path") does not arrive; of `lose_answers` the answer is
    lost. `stalls`: taken, and nothing is said. `lag`: seconds that the answer to a shard is held back.
    `refuse`: answered with this code. `lose_first`: so many answers to reads are lost. `tamper` changes
    answers.
    """

    behind: str = ""
    lose_requests: list[str] = field(default_factory=list)
    lose_answers: list[str] = field(default_factory=list)
    stalls: list[str] = field(default_factory=list)
    lag: float = 0.0
    tamper: Tamper | None = None
    refuse: dict[str, str] = field(default_factory=dict)
    lose_first: int = 0
    seen: list[str] = field(default_factory=list)
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    _runner: web.AppRunner | None = None
    _session: aiohttp.ClientSession | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        assert self._runner is not None
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def start(self) -> "Wire":
        app = web.Application(client_max_size=256 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._session = aiohttp.ClientSession(auto_decompress=False)
        return self

    async def stop(self) -> None:
        self._stop.set()
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def count(self, beginning: str) -> int:
        return sum(line.startswith(beginning) for line in self.seen)

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        line = f"{request.method} {request.path}"
        body = await request.read()
        self.seen.append(line)
        self.bodies.append((line, body))
        if any(line.startswith(one) for one in self.stalls):
            await self._stop.wait()
        if any(line.startswith(one) for one in self.lose_requests):
            return self._cut(request)
        for beginning, code in self.refuse.items():
            if line.startswith(beginning):
                said = {"error": code, "message": "no", "detail": {}}
                return web.json_response(said, status=422)
        assert self._session is not None
        headers = {name: value for name, value in request.headers.items() if name not in ("Host", "Expect")}
        try:
            async with self._session.request(
                request.method, self.behind + request.path_qs, headers=headers, data=BytesIO(body)
            ) as answer:
                data, status = await answer.read(), answer.status
                kept = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
        except aiohttp.ClientError:
            return self._cut(request)
        if self.lag and line.startswith("PUT"):
            await asyncio.sleep(self.lag)
        if any(line.startswith(one) for one in self.lose_answers):
            return self._cut(request)
        if line.endswith("/read") and self.lose_first:
            self.lose_first -= 1
            return self._cut(request)
        if self.tamper is not None and status == 200:
            data = self.tamper(request.path, data)
        return web.Response(status=status, body=BytesIO(data), headers=kept)

    def _cut(self, request: web.Request) -> web.StreamResponse:
        """End the connection without a word."""
        if request.transport is not None:
            request.transport.abort()
        raise web.HTTPInternalServerError
