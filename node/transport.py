"""The wire to other nodes: signed HTTP requests over one session, and what can come of them.

A request ends in the promised answer or in one of four errors, which the renter must keep apart:
PeerUnreachable (nobody there), PeerTimedOut (somebody, but no progress), PeerRefused (a refusal with a
code), PeerBrokeRules (an answer that is none). Time-outs go by progress: a peer may be slow, not
silent. Every answer has a bound, checked before it is read. All requests of the protocol may be
repeated, so one that was lost on a connection gone stale, or that a restarted peer asks to have signed
anew, is sent again here.
"""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Self, TypeVar

import aiohttp
from yarl import URL

from node.authentication import NONCE_SIZE, RUN_SIZE, UNKNOWN_RUN, body_hash, sign_request
from node.clock import Clock
from node.errors import CannotCheck, MalformedMessage, NodeError, PeerFault, WrongRun, short
from node.hex import from_hex
from node.identity import NodeKey
from node.messages import CONTROL_LIMIT, PROPOSAL_HEADER, Bounded, ErrorBody, ProposeAgreement, dump, parse
from payments.types import NodeId
from settlement import steps

Answer = TypeVar("Answer", bound=Bounded)

PIECE: Final = 256 * 1024
"""Bytes of an upload handed to the socket at a time, the unit of its progress; of an answer read ahead."""
_PAUSE_CODES: Final = frozenset({"RATE_LIMITED", "BUSY", "TOO_MANY_REQUESTS"})


@dataclass(frozen=True, slots=True)
class Target:
    """A node to talk to: its id, and the base URLs to try in order."""

    node: NodeId
    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds.

    connect: for a connection. stall: without any progress. slowest: bytes a second that an answer or an
    upload must reach on the whole, once it has taken longer than `stall`. pause: for a peer that asks
    to be left alone for a while.
    """

    connect: float = 5.0
    stall: float = 20.0
    slowest: int = 32 * 1024
    pause: float = 10.0

    def whole(self, length: int) -> float:
        """How long an exchange of `length` bytes may take in all."""
        return self.connect + 2 * self.stall + length / self.slowest


@dataclass(eq=False)
class PeerUnreachable(CannotCheck):
    """No connection to the node at any of its addresses, or it was cut before the answer."""

    node: bytes
    reason: str

    def __str__(self) -> str:
        return f"{_name(self.node)} cannot be reached: {self.reason}"


@dataclass(eq=False)
class PeerTimedOut(CannotCheck):
    """The node took the connection and then made no progress."""

    node: bytes
    seconds: float

    def __str__(self) -> str:
        return f"{_name(self.node)} gave no answer within {self.seconds:g} s"


@dataclass(eq=False)
class PeerRefused(PeerFault):
    """The node answered with an error: its HTTP status, code, sentence and values."""

    node: bytes
    status: int
    error: str
    message: str
    values: Mapping[str, object]

    def __str__(self) -> str:
        return f"{_name(self.node)} refused: {self.message} ({self.error})"


@dataclass(eq=False)
class PeerBrokeRules(PeerFault):
    """The node answered with something that the protocol does not know.

    answered: it said that all is well, and what came with that is no message.
    """

    node: bytes
    reason: str
    answered: bool = False

    def __str__(self) -> str:
        return f"{_name(self.node)} broke the protocol: {self.reason}"


@dataclass(frozen=True, slots=True)
class _Request:
    """One request. `digest`: what is signed of the body (None: nothing); `limit`: bytes of the answer.

    progress: hears of bytes of the body that are handed over, arrived: of bytes of a good answer.
    With a `proposal` the body is sent only when the peer has asked for it.
    """

    method: str
    path: str
    limit: int
    digest: bytes | None
    body: bytes | memoryview | None = None
    progress: Callable[[int], None] | None = None
    arrived: Callable[[int], None] | None = None
    proposal: bytes = b""

    @property
    def length(self) -> int:
        """Bytes that travel, at most."""
        return self.limit + len(self.body or b"")

    @property
    def content(self) -> bytes | AsyncIterator[bytes] | None:
        """The body as aiohttp takes it: a shard piece by piece, so that its progress shows."""
        return _pieces(self.body, self.progress) if isinstance(self.body, memoryview) else self.body

    @property
    def headers(self) -> dict[str, str]:
        """What says how long the body is, and what."""
        if self.body is None:
            return {}
        kind = "octet-stream" if isinstance(self.body, memoryview) else "json"
        headers = {"Content-Type": f"application/{kind}", "Content-Length": str(len(self.body))}
        return headers | {PROPOSAL_HEADER: self.proposal.decode()} if self.proposal else headers


class Transport:
    """Sends requests as one node. Belongs to one event loop; close it when done.

    Every method raises the four errors of this module.
    """

    def __init__(self, key: NodeKey, clock: Clock, patience: Patience | None = None) -> None:
        self._key = key
        self._clock = clock
        self._patience = patience or Patience()
        self._runs: dict[NodeId, bytes] = {}
        self._opened: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        session, self._opened = self._opened, None
        if session is not None:
            await session.close()

    async def describe(self, target: Target, answer: type[Answer]) -> Answer:
        """GET a node's public description, unsigned; a node still unknown is named by zeros."""
        request = _Request("GET", "/v1/node", answer.limit, None)
        return _parse(target.node, answer, await self._perform(target, request))

    async def get(self, target: Target, path: str, answer: type[Answer]) -> Answer:
        """GET a message."""
        return await self._exchange(target, "GET", path, answer)

    async def post(self, target: Target, path: str, message: Bounded, answer: type[Answer]) -> Answer:
        """POST a message, get one back."""
        return await self._exchange(target, "POST", path, answer, dump(message))

    async def delete(self, target: Target, path: str, answer: type[Answer]) -> Answer:
        """DELETE something, get a message back."""
        return await self._exchange(target, "DELETE", path, answer)

    async def upload(
        self,
        target: Target,
        path: str,
        shard: memoryview,
        *,
        data_root: bytes,
        answer: type[Answer],
        proposal: ProposeAgreement | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Answer:
        """PUT a shard's bytes, authenticated by their data root; `progress` hears of bytes handed over.

        With a `proposal` that is agreed on first, and only then the bytes leave.
        """
        proposed = dump(proposal) if proposal else b""
        request = _Request("PUT", path, answer.limit, data_root, shard, progress, proposal=proposed)
        return _parse(target.node, answer, await self._perform(target, request))

    async def read(
        self,
        target: Target,
        path: str,
        message: Bounded,
        length: int,
        progress: Callable[[int], None] | None = None,
    ) -> bytes:
        """POST a message, get exactly `length` raw bytes back; `progress` hears of bytes as they come."""
        body = dump(message)
        request = _Request("POST", path, length, body_hash(body), body, arrived=progress)
        found = await self._perform(target, request)
        if len(found) != length:
            raise PeerBrokeRules(target.node, f"{len(found)} bytes came instead of {length}")
        return found

    async def _exchange(
        self, target: Target, method: str, path: str, answer: type[Answer], body: bytes | None = None
    ) -> Answer:
        request = _Request(method, path, answer.limit, body_hash(body or b""), body)
        return _parse(target.node, answer, await self._perform(target, request))

    async def _perform(self, target: Target, request: _Request) -> bytes:
        """Try the addresses in order until one connects."""
        unreachable = PeerUnreachable(target.node, "it has no address")
        for base in target.urls:
            try:
                return await self._repeat(target.node, base.rstrip("/") + request.path, request)
            except PeerUnreachable as error:
                unreachable = error
        raise unreachable

    async def _repeat(self, node: NodeId, url: str, request: _Request) -> bytes:
        """Send once more when the answer was lost, or for a new run; pause when asked to, for a while."""
        again = 1
        left = self._patience.pause
        while True:
            named = self._runs.get(node, UNKNOWN_RUN)
            try:
                return await self._send(node, url, request)
            except _Lost as lost:
                if not again:
                    raise lost.verdict from lost
                again -= 1
            except PeerRefused as refusal:
                if (
                    refusal.error == WrongRun.code
                    and again
                    and self._learn_run(node, refusal.values) != named
                ):
                    again -= 1
                    continue
                pause = _pause(refusal)
                if pause is None or pause > left:
                    raise
                left -= pause
                await asyncio.sleep(pause)

    async def _send(self, node: NodeId, url: str, request: _Request) -> bytes:
        """Send once: the body of a good answer, or the right error for everything else."""
        seconds = self._patience.whole(request.length)
        origin = steps.origin(passing=__name__)
        steps.reach(steps.Kind.SEND, steps.Moment.BEFORE, origin)
        try:
            async with (
                asyncio.timeout(seconds),
                self._session().request(
                    request.method,
                    URL(url, encoded=True),
                    headers=request.headers | self._sign(node, request),
                    data=request.content,
                    expect100=bool(request.proposal),
                    allow_redirects=False,
                ) as response,
            ):
                steps.reach(steps.Kind.SEND, steps.Moment.AFTER, origin)
                if response.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
                    raise _refusal(node, response.status, await _read(node, response, CONTROL_LIMIT))
                return await _read(node, response, request.limit, request.arrived)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise PeerUnreachable(node, _because(error)) from error
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            raise _Lost(PeerUnreachable(node, "it closed the connection without an answer")) from error
        except aiohttp.ClientPayloadError as error:
            raise _Lost(PeerBrokeRules(node, _because(error))) from error
        except aiohttp.SocketTimeoutError as error:
            raise PeerTimedOut(node, self._patience.stall) from error
        except TimeoutError as error:
            raise PeerTimedOut(node, seconds) from error
        except _NO_ANSWER as error:
            raise PeerBrokeRules(node, _because(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise PeerUnreachable(node, _because(error)) from error

    def _sign(self, node: NodeId, request: _Request) -> dict[str, str]:
        if request.digest is None:
            return {}
        return sign_request(
            self._key,
            recipient=node,
            method=request.method,
            target=request.path,
            body=request.digest,
            now=self._clock(),
            nonce=os.urandom(NONCE_SIZE),
            run=self._runs.get(node, UNKNOWN_RUN),
        )

    def _learn_run(self, node: NodeId, values: Mapping[str, object]) -> bytes:
        """Remember the run that a peer says it is in; return what is known now."""
        with suppress(ValueError):
            self._runs[node] = from_hex(values.get("run"), RUN_SIZE)
        return self._runs.get(node, UNKNOWN_RUN)

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=8, keepalive_timeout=10),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self._patience.connect, sock_read=self._patience.stall
                ),
                read_bufsize=PIECE,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._opened


_NO_ANSWER: Final = (aiohttp.ClientResponseError, aiohttp.InvalidURL, ValueError)
"""What aiohttp raises over an answer that is not HTTP."""


class _Lost(Exception):
    """The connection broke before the whole answer came, as an idle one may at any time.

    `verdict` is what to say when it happens again.
    """

    def __init__(self, verdict: NodeError) -> None:
        self.verdict = verdict
        super().__init__(str(verdict))


async def _read(
    node: NodeId,
    response: aiohttp.ClientResponse,
    limit: int,
    arrived: Callable[[int], None] | None = None,
) -> bytes:
    """Read a body of at most `limit` bytes."""
    announced = response.content_length
    if announced is not None and announced > limit:
        raise PeerBrokeRules(node, f"an answer of {announced} bytes is announced, {limit} are the limit")
    parts: list[bytes] = []
    room = limit
    async for part in response.content.iter_any():
        room -= len(part)
        if room < 0:
            raise PeerBrokeRules(node, f"an answer of more than {limit} bytes")
        parts.append(part)
        if arrived:
            arrived(len(part))
    return b"".join(parts)


def _refusal(node: NodeId, status: int, body: bytes) -> PeerFault:
    try:
        said = parse(ErrorBody, body)
    except MalformedMessage as error:
        return PeerBrokeRules(node, f"status {status} without a reason: {error}")
    return PeerRefused(node, status, said.error, said.message, said.detail)


def _parse(node: NodeId, kind: type[Answer], body: bytes) -> Answer:
    try:
        return parse(kind, body)
    except MalformedMessage as error:
        raise PeerBrokeRules(node, str(error), answered=True) from error


async def _pieces(view: memoryview, progress: Callable[[int], None] | None) -> AsyncIterator[bytes]:
    for start in range(0, len(view), PIECE):
        piece = view[start : start + PIECE]
        yield bytes(piece)
        if progress:
            progress(len(piece))


def _pause(refusal: PeerRefused) -> float | None:
    """How long the peer asks to be left alone, None if it does not."""
    if refusal.error not in _PAUSE_CODES:
        return None
    asked = refusal.values.get("retry_after", 1)
    return float(asked) if isinstance(asked, int | float) and asked > 0 else 1.0


def _name(node: bytes) -> str:
    """Call a node by its id; one that has not told its id yet (all zero) has none."""
    return f"node {short(node)}" if any(node) else "the node"


def _because(error: Exception) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno in errno.errorcode:
        return os.strerror(cause.errno).lower()
    return str(error) or type(error).__name__
