"""A node record: what a node says of itself, signed by its key; whoever passes it on cannot change it."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from node.errors import ExpiredRecord, ForgedRecord, RecordOutOfBounds
from node.identity import NodeKey, pack_fields, verify_signature
from payments.types import Address, NodeId, Timestamp

MAX_URLS: Final = 4
MAX_URL_LENGTH: Final = 200
MAX_RECORD_LIFETIME: Final = 30 * 24 * 3600

_RECORD_TAG: Final = b"tithebarn record 1\n"


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
    return _RECORD_TAG + pack_fields(head) + pack_fields(tuple(url.encode() for url in record.urls))
