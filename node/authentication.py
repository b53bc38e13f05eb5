"""The authentication of a request between nodes: who sent it, to whom, and that it is new.

A request's signature covers method, target, recipient, time, nonce and a hash of the body, so it means
nothing to another node, on another path or with another body; a ReplayGuard refuses it the second time.
Everything here is pure but the guard, which remembers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from node.errors import (
    ForgedRequest,
    MalformedHeader,
    ReplayedRequest,
    StaleRequest,
    TooManyRequests,
    WrongRecipient,
    WrongRun,
)
from node.hex import from_hex, to_hex
from node.identity import NodeKey, pack_fields, verify_signature
from payments.types import NodeId, Timestamp

NODE_HEADER: Final = "Tithe-Node"
TO_HEADER: Final = "Tithe-To"
RUN_HEADER: Final = "Tithe-Run"
TIME_HEADER: Final = "Tithe-Time"
NONCE_HEADER: Final = "Tithe-Nonce"
SIGNATURE_HEADER: Final = "Tithe-Signature"
BODY_HEADER: Final = "Tithe-Body"
"""What is signed of the body, so that a signature can be looked at before the body has come. Optional."""

NONCE_SIZE: Final = 16
RUN_SIZE: Final = 16
SIGNATURE_SIZE: Final = 64
UNKNOWN_RUN: Final = bytes(RUN_SIZE)
"""What a request names that does not know the recipient's run."""
REQUEST_WINDOW: Final = 60
"""Seconds that a request's time may lie before or after ours."""

_REQUEST_TAG: Final = b"tithebarn request 1\n"
_MAX_TIME: Final = 2**40 - 1


@dataclass(frozen=True, slots=True)
class Authentication:
    """What a request's headers say: from whom, to whom (and which run of it), when, a nonce, a signature."""

    node: NodeId
    recipient: NodeId
    run: bytes
    time: Timestamp
    nonce: bytes
    signature: bytes


def body_hash(body: bytes) -> bytes:
    """Hash a request's body: SHA-256, 32 bytes. In place of a shard's body hash stands its data_root."""
    return sha256(body).digest()


def sign_request(
    key: NodeKey,
    *,
    recipient: bytes,
    method: str,
    target: str,
    body: bytes,
    now: int,
    nonce: bytes,
    run: bytes = UNKNOWN_RUN,
) -> dict[str, str]:
    """Make the headers that authenticate a request.

    `target` is path and query as sent, `body` the 32 bytes of `body_hash` (a shard upload: its data_root),
    `nonce` 16 fresh random bytes, `run` the recipient's run if known (see ReplayGuard).
    """
    unsigned = Authentication(key.node, NodeId(recipient), run, Timestamp(now), nonce, b"")
    return {
        BODY_HEADER: to_hex(body),
        NODE_HEADER: to_hex(key.node),
        TO_HEADER: to_hex(recipient),
        RUN_HEADER: to_hex(run),
        TIME_HEADER: str(now),
        NONCE_HEADER: to_hex(nonce),
        SIGNATURE_HEADER: to_hex(key.sign(_request_message(unsigned, method, target, body))),
    }


def read_authentication(headers: Mapping[str, str]) -> Authentication:
    """Read a request's headers (any mapping that finds names regardless of case). Raises MalformedHeader."""
    time = headers.get(TIME_HEADER, "")
    if not (
        time.isascii() and time.isdigit() and len(time) <= len(str(_MAX_TIME)) and int(time) <= _MAX_TIME
    ):
        raise MalformedHeader(TIME_HEADER)
    return Authentication(
        node=NodeId(_hex_header(headers, NODE_HEADER, 32)),
        recipient=NodeId(_hex_header(headers, TO_HEADER, 32)),
        run=_hex_header(headers, RUN_HEADER, RUN_SIZE),
        time=Timestamp(int(time)),
        nonce=_hex_header(headers, NONCE_HEADER, NONCE_SIZE),
        signature=_hex_header(headers, SIGNATURE_HEADER, SIGNATURE_SIZE),
    )


def verify_request(claim: Authentication, *, us: bytes, method: str, target: str, body: bytes) -> None:
    """Check that the node named in the headers signed this request to us; freshness is the guard's affair.

    `target` and `body` as in `sign_request`. Raises WrongRecipient, ForgedRequest.
    """
    if claim.recipient != us:
        raise WrongRecipient(claim.recipient, us)
    if not verify_signature(claim.node, _request_message(claim, method, target, body), claim.signature):
        raise ForgedRequest(claim.node)


def read_body_hash(headers: Mapping[str, str]) -> bytes:
    """Read what a request says its body's hash is, 32 bytes. Raises MalformedHeader, also without it."""
    return _hex_header(headers, BODY_HEADER, 32)


def _request_message(claim: Authentication, method: str, target: str, body: bytes) -> bytes:
    time = claim.time.to_bytes(8, "big")
    fields = (method.encode(), target.encode(), claim.recipient, claim.run, time, claim.nonce, body)
    return _REQUEST_TAG + pack_fields(fields)


def _hex_header(headers: Mapping[str, str], name: str, size: int) -> bytes:
    try:
        return from_hex(headers.get(name), size)
    except ValueError as error:
        raise MalformedHeader(name) from error


class ReplayGuard:
    """Remembers which requests were admitted, as long as they are fresh, and admits none twice.

    A request is fresh while its time lies within `window` seconds of ours. Memory is bounded: `per_node`
    requests of one node and `total` of all within reach of the window, then TooManyRequests. Strangers are
    free to make up node keys, so give them a guard of their own and they cannot crowd out those who pay; when
    one of them becomes known, let the other guard `adopt` what is remembered of it.

    A guard forgets at a restart, so every start has a `run`, 16 random bytes that requests name and sign. A
    request that names this run cannot have been seen by another; one that names none or another is admitted
    only if it is dated later than any earlier run could have admitted it, which is a window after the start.
    The refusal (WrongRun) tells the run, so an honest sender signs again and succeeds.
    """

    def __init__(
        self,
        *,
        run: bytes,
        started_at: int,
        window: int = REQUEST_WINDOW,
        per_node: int = 8_192,
        total: int = 131_072,
    ) -> None:
        self.run = run
        self._started_at = started_at
        self._window = window
        self._per_node = per_node
        self._total = total
        self._seen: dict[int, dict[bytes, set[bytes]]] = {}
        self._forgotten_until = 0
        self._count = 0
        self._count_by_node: dict[bytes, int] = {}

    def check(self, claim: Authentication, now: int) -> None:
        """Refuse what `admit` would refuse, without remembering: cheap, before a body is read or verified."""
        self._forget(now - self._window)
        earliest, latest = self._forgotten_until, now + self._window
        if not earliest <= claim.time <= latest:
            raise StaleRequest(claim.time, earliest, latest)
        if claim.run != self.run and claim.time <= self._started_at + self._window:
            raise WrongRun(claim.run, self.run)
        if claim.nonce in self._seen.get(claim.time, {}).get(claim.node, ()):
            raise ReplayedRequest(claim.node, claim.nonce)
        if self._count_by_node.get(claim.node, 0) >= self._per_node:
            raise TooManyRequests(claim.node, self._per_node, self._window)
        if self._count >= self._total:
            raise TooManyRequests(claim.node, self._total, self._window)

    def admit(self, claim: Authentication, now: int) -> None:
        """Remember a request whose signature has been verified, and let it pass once.

        Raises StaleRequest, WrongRun, ReplayedRequest, TooManyRequests.
        """
        self.check(claim, now)
        self._remember(claim.time, claim.node, claim.nonce)

    def adopt(self, other: Self, node: bytes) -> None:
        """Remember also what `other`, a guard of the same run, remembers of a node."""
        for time, nonce in other.remembered(node):
            self._remember(time, node, nonce)

    def remembered(self, node: bytes) -> tuple[tuple[int, bytes], ...]:
        """Return time and nonce of the requests remembered of a node."""
        return tuple((time, nonce) for time, nodes in self._seen.items() for nonce in nodes.get(node, ()))

    def __len__(self) -> int:
        """Return how many requests are remembered."""
        return self._count

    def _remember(self, time: int, node: bytes, nonce: bytes) -> None:
        nonces = self._seen.setdefault(time, {}).setdefault(node, set())
        if nonce not in nonces:
            nonces.add(nonce)
            self._count += 1
            self._count_by_node[node] = self._count_by_node.get(node, 0) + 1

    def _forget(self, earliest: int) -> None:
        """Drop what is dated before `earliest`; it stays refused even if the clock is set back."""
        self._forgotten_until = max(self._forgotten_until, earliest)
        for time in [time for time in self._seen if time < earliest]:
            for node, nonces in self._seen.pop(time).items():
                self._count -= len(nonces)
                left = self._count_by_node[node] - len(nonces)
                if left:
                    self._count_by_node[node] = left
                else:
                    del self._count_by_node[node]
