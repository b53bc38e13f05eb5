"""A node's identity: its Ed25519 key, and what it signs with it: requests to other nodes and its own record.

The node id is the public key. A request's signature covers method, target, recipient, time, nonce and a hash
of the body, so it means nothing to another node, on another path or with another body; a ReplayGuard refuses
it the second time. Everything here is pure but the guard, which remembers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self
from urllib.parse import urlsplit

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from node.errors import (
    ExpiredRecord,
    ForgedRecord,
    ForgedRequest,
    MalformedHeader,
    RecordOutOfBounds,
    ReplayedRequest,
    StaleRequest,
    TooManyRequests,
    WrongRecipient,
    WrongRun,
)
from node.hex import from_hex, to_hex
from payments.types import Address, NodeId, Timestamp

NODE_HEADER: Final = "Tithe-Node"
TO_HEADER: Final = "Tithe-To"
RUN_HEADER: Final = "Tithe-Run"
TIME_HEADER: Final = "Tithe-Time"
NONCE_HEADER: Final = "Tithe-Nonce"
SIGNATURE_HEADER: Final = "Tithe-Signature"

NONCE_SIZE: Final = 16
RUN_SIZE: Final = 16
SIGNATURE_SIZE: Final = 64
UNKNOWN_RUN: Final = bytes(RUN_SIZE)
"""What a request names that does not know the recipient's run."""
REQUEST_WINDOW: Final = 60
"""Seconds that a request's time may lie before or after ours."""

MAX_URLS: Final = 4
MAX_URL_LENGTH: Final = 200
MAX_RECORD_LIFETIME: Final = 30 * 24 * 3600

_REQUEST_TAG: Final = b"tithebarn request 1\n"
_RECORD_TAG: Final = b"tithebarn record 1\n"
_MAX_TIME: Final = 2**40 - 1


class NodeKey:
    """An Ed25519 secret. Neither `repr` nor pickling shows it."""

    __slots__ = ("_key", "node")

    node: NodeId
    """The public key: 32 bytes, the node's id."""

    def __init__(self, seed: bytes) -> None:
        """Take the 32 secret bytes (ValueError when they are not). Their source is the caller's affair."""
        self._key = SigningKey(seed)
        self.node = NodeId(bytes(self._key.verify_key))

    def __repr__(self) -> str:
        return f"NodeKey(node={to_hex(self.node)})"

    def __reduce__(self) -> str:
        raise TypeError("a NodeKey is not pickled: its secret would leave with it")

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes, for the key file. Never log them."""
        return bytes(self._key)

    @property
    def signing_key(self) -> SigningKey:
        """The key as PyNaCl knows it, for `payments.prices.sign_quote`."""
        return self._key

    def sign(self, message: bytes) -> bytes:
        """Sign a message that begins with a tag of its kind: 64 bytes."""
        return self._key.sign(message).signature


def verify_signature(node: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether `signature` over `message` is of the key `node`. Never raises."""
    try:
        VerifyKey(node).verify(message, signature)
    except (BadSignatureError, ValueError):
        return False
    return True


# Requests


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


def _request_message(claim: Authentication, method: str, target: str, body: bytes) -> bytes:
    time = claim.time.to_bytes(8, "big")
    fields = (method.encode(), target.encode(), claim.recipient, claim.run, time, claim.nonce, body)
    return _REQUEST_TAG + _pack(fields)


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


# Records


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What a node says of itself: where it is, who is paid, until when. The highest `sequence` counts.

    `urls` are 1 to 4 base URLs; the node's quote is found under `quote_path` of each.
    """

    node: NodeId
    payee: Address
    urls: tuple[str, ...]
    sequence: int
    expires_at: Timestamp
    quote_path: str = "/v1/node"


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """A record and the 64-byte signature of its node key."""

    record: NodeRecord
    signature: bytes


def sign_record(record: NodeRecord, key: NodeKey) -> SignedRecord:
    """Sign our own record."""
    return SignedRecord(record, key.sign(_record_message(record)))


def verify_record(signed: SignedRecord, now: int) -> NodeRecord:
    """Return the record if it can be believed. Raises RecordOutOfBounds, ForgedRecord, ExpiredRecord."""
    record = signed.record
    if not 1 <= len(record.urls) <= MAX_URLS or not all(map(good_url, record.urls)):
        raise RecordOutOfBounds(record.node, "urls")
    if not _good_path(record.quote_path):
        raise RecordOutOfBounds(record.node, "quote_path")
    if not 0 <= record.sequence < 1 << 63:
        raise RecordOutOfBounds(record.node, "sequence")
    if not 0 <= record.expires_at <= now + MAX_RECORD_LIFETIME:
        raise RecordOutOfBounds(record.node, "expires_at")
    if not verify_signature(record.node, _record_message(record), signed.signature):
        raise ForgedRecord(record.node)
    if record.expires_at <= now:
        raise ExpiredRecord(record.node, record.expires_at, now)
    return record


def good_url(url: str) -> bool:
    """Tell whether a base URL is http(s) with a host, without credentials, query or fragment."""
    if not _printable(url) or "?" in url or "#" in url or "@" in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _good_path(path: str) -> bool:
    return _printable(path) and path.startswith("/") and "#" not in path


def _printable(text: str) -> bool:
    return 0 < len(text) <= MAX_URL_LENGTH and all("!" <= character <= "~" for character in text)


def _record_message(record: NodeRecord) -> bytes:
    head = (
        record.node,
        record.payee,
        record.sequence.to_bytes(8, "big"),
        record.expires_at.to_bytes(8, "big"),
        record.quote_path.encode(),
    )
    return _RECORD_TAG + _pack(head) + _pack(tuple(url.encode() for url in record.urls))


def _pack(fields: tuple[bytes, ...]) -> bytes:
    """Join fields, each behind its length (uint32, big-endian), so that no two lists look alike."""
    return b"".join([len(field).to_bytes(4, "big") + field for field in fields])
