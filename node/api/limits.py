"""Limits of the interface: how large, how fast, how many. All of them are enforced before work is done."""

from collections import Counter, OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from node.messages import AUDIT_LIMIT, CONTROL_LIMIT, SHELF_LIMIT

KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one farmer's interface. Sizes in bytes, times in seconds, rates in requests per second."""

    max_control_body: int = CONTROL_LIMIT
    max_audit_body: int = AUDIT_LIMIT
    max_shelf_body: int = SHELF_LIMIT
    max_shard_body: int = 256 * 1024 * KIB
    max_connections: int = 1_000
    max_connections_per_address: int = 250
    max_running: int = 64
    max_running_per_address: int = 32
    """Less than all, here and above: one machine, not authenticated yet, must not shut the others out."""
    max_reserved: int = 64
    """Further requests, of known nodes only, once the places for everybody are taken."""
    max_reserved_per_node: int = 16
    max_introductions: int = 8
    """Channels of unknown nodes looked up at once: each takes several calls of the chain."""
    header_seconds: float = 15.0
    """A connection may take this long to present the head of its next request."""
    stall_seconds: float = 15.0
    """The peer may pause this long while a body is read or an answer is written."""
    min_body_rate: int = 32 * KIB
    """Bytes a second that a body has reached whenever we wait for it, after `stall_seconds` of grace."""
    address_rate: float = 500.0
    address_burst: float = 2_000.0
    key_rate: float = 250.0
    key_burst: float = 1_000.0


def origin(address: str) -> str:
    """Whom an IP address is counted as: itself, or its /64 network, which one subscriber has as a whole."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))


class Places:
    """Places of which each key (an origin, a node) may take `each`, and all together `total`; None: no bound.

    Memory only for those that take any.
    """

    def __init__(self, each: int, total: int | None = None) -> None:
        self._each = each
        self._total = total
        self._count = 0
        self._taken: Counter[object] = Counter()

    def take(self, key: object) -> bool:
        """Take a place, if there is one left."""
        if self._taken[key] >= self._each or self._count == self._total:
            return False
        self._taken[key] += 1
        self._count += 1
        return True

    def give_back(self, key: object) -> None:
        """Leave a place that was taken."""
        self._taken[key] -= 1
        self._count -= 1
        if not self._taken[key]:
            del self._taken[key]


class TokenBuckets:
    """One token bucket for each of the `size` most recent keys: `rate` a second, at most `burst` at once.

    Memory is bounded: the key that was quiet longest is forgotten first, and returns with a full bucket.
    """

    def __init__(self, rate: float, burst: float, size: int = 10_000) -> None:
        self._rate = rate
        self._burst = burst
        self._size = size
        self._buckets: OrderedDict[object, tuple[float, float]] = OrderedDict()

    def take(self, key: object, now: float) -> float:
        """Take one token; return 0, or in how many seconds there will be one."""
        tokens, since = self._buckets.pop(key, (self._burst, now))
        tokens = min(self._burst, tokens + max(0.0, now - since) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[key] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > self._size:
            self._buckets.popitem(last=False)
        return wait
