"""The gate every request passes before any work is done for it: rate, number, length, pace.

Pure ASGI, so bodies stream through it both ways. It reads no body itself; it lets the application read one no
longer than announced and no slower than agreed.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from node.api.faults import (
    ApiFault,
    BodyCutOff,
    BodyTooLarge,
    BodyTooSlow,
    Busy,
    LengthRequired,
    RateLimited,
    answer,
)
from node.api.limits import Limits, Places, TokenBuckets, origin
from payments.types import NodeId
from settlement import steps

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


WITH_PROOFS = ("/v1/audits", "/v1/watch")
"""Where bodies carry challenges or proofs."""


class Gate:
    """Wraps an ASGI application with the limits of one node.

    `recognise` says by a request's head which known node has signed it: strangers who take all places for
    everybody, before anybody can tell who they are, leave those reserved for known nodes.
    """

    def __init__(
        self, app: App, limits: Limits, recognise: Callable[[Message], NodeId | None] = lambda _: None
    ) -> None:
        self._app = app
        self._limits = limits
        self._addresses = TokenBuckets(limits.address_rate, limits.address_burst)
        self._recognise = recognise
        self._places = Places(limits.max_running_per_address, limits.max_running)
        self._reserve = Places(limits.max_reserved_per_node, limits.max_reserved)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        whence = origin(client[0] if client else "")
        try:
            length, leave = self._admit(scope, whence)
        except ApiFault as fault:
            await refuse(fault, send)
            return
        body = _PacedBody(receive, length, self._limits)
        reply = _PacedReply(send, self._limits.stall_seconds, scope)
        try:
            await self._app(scope, body.receive, reply.send)
        except Exception as error:  # noqa: BLE001 - the outermost edge: a peer never sees a traceback
            if not reply.begun:
                await refuse(error, send)
        finally:
            leave()

    def _admit(self, scope: Message, whence: str) -> tuple[int, Callable[[], None]]:
        """Take a place; return the body's announced length, and how to leave. Raises ApiFault."""
        wait = self._addresses.take(whence, time.monotonic())
        if wait:
            raise RateLimited(math.ceil(wait))
        length = announced_length(scope)
        limit = self._body_limit(scope["method"], scope["path"])
        if length > limit:
            raise BodyTooLarge(length, limit)
        return length, self._take_place(scope, whence)

    def _take_place(self, scope: Message, whence: str) -> Callable[[], None]:
        """Take a place for everybody, or a known node's; return how to leave it. Raises Busy."""
        if self._places.take(whence):
            return partial(self._places.give_back, whence)
        node = self._recognise(scope)
        if node is not None and self._reserve.take(node):
            return partial(self._reserve.give_back, node)
        raise Busy

    def _body_limit(self, method: str, path: str) -> int:
        if method not in ("POST", "PUT"):
            return 0
        if path.endswith("/shard"):
            return self._limits.max_shard_body
        if path == "/v1/shelf":
            return self._limits.max_shelf_body
        return self._limits.max_audit_body if path in WITH_PROOFS else self._limits.max_control_body


def announced_length(scope: Message) -> int:
    """Read Content-Length: required with POST and PUT, 0 otherwise when absent. Raises LengthRequired."""
    headers = dict(scope["headers"])
    told = headers.get(b"content-length")
    if b"transfer-encoding" in headers or (told is None and scope["method"] in ("POST", "PUT")):
        raise LengthRequired
    if told is None:
        return 0
    if not told.isdigit() or len(told) > len(str(1 << 63)):
        raise LengthRequired
    return int(told)


async def refuse(error: Exception, send: Send) -> None:
    """Answer with an error and end the connection, whose body nobody will read."""
    said = answer(error)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(said.body)).encode()),
        (b"connection", b"close"),
    ]
    if "retry_after" in said.detail:
        headers.append((b"retry-after", str(said.detail["retry_after"]).encode()))
    await send({"type": "http.response.start", "status": said.status, "headers": headers})
    await send({"type": "http.response.body", "body": said.body})


class _PacedBody:
    """The receiving half of a request whose body must keep a pace, at every moment that we wait for it."""

    def __init__(self, receive: Receive, length: int, limits: Limits) -> None:
        self._receive = receive
        self._limits = limits
        self._patience = limits.stall_seconds
        self._more = length > 0

    async def receive(self) -> Message:
        """Return the next message of the body. Raises BodyTooSlow, BodyCutOff."""
        if not self._more:
            return await self._receive()
        seconds = min(self._limits.stall_seconds, self._patience)
        since = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(seconds):
                message = await self._receive()
        except TimeoutError:
            raise BodyTooSlow(seconds) from None
        if message["type"] == "http.disconnect":
            raise BodyCutOff
        self._patience -= asyncio.get_running_loop().time() - since
        self._patience += len(message.get("body", b"")) / self._limits.min_body_rate
        self._more = bool(message.get("more_body", False))
        return message


class _PacedReply:
    """The sending half; gives up on a peer that does not take its answer."""

    def __init__(self, send: Send, seconds: float, scope: Message) -> None:
        self._send = send
        self._seconds = seconds
        self._scope = scope
        self.begun = False

    async def send(self, message: Message) -> None:
        """Send the next message of the answer. Raises TimeoutError."""
        handler = steps.Origin(getattr(self._scope.get("endpoint"), "__name__", ""))
        if not self.begun:
            steps.reach(steps.Kind.ANSWER, steps.Moment.BEFORE, handler)
        self.begun = True
        async with asyncio.timeout(self._seconds):
            await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            steps.reach(steps.Kind.ANSWER, steps.Moment.AFTER, handler)
