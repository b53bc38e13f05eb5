"""Where shards go: the shape k of n that a network of some size can carry, and which farmers get one.

Default: 29 of 80. With fewer than 80 usable farmers n is their number and k keeps the same share,
rounded down and at least 1 (12 farmers: 4 of 12; 3: 1 of 3), so that the same part of the farmers may
be lost. A small file is kept whole by 20 farmers, or by all where there are fewer: an agreement costs the
same however little it is about, and eighty of them would cost more than the copies. A shard of one segment
never shares a farmer with another; a farmer with two identities is the mask's affair (node.cipher).

Shards of a segment also avoid sharing a neighbourhood, for what stands together falls together: a /24 of
IPv4, a /48 of IPv6, or the last two labels of a host's name. Names are not looked up: what a farmer's DNS
says may change with who asks. This machine is no neighbourhood: many farmers on loopback do not crowd.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from node.erasure import MAX_SHARDS
from node.renter.errors import ImpossibleShape, NotEnoughFarmers
from payments.types import Amount, NodeId

DEFAULT_K: Final = 29
DEFAULT_N: Final = 80
SMALL_BYTES: Final = 4_096
"""A file of at most so many bytes is small."""
SMALL_N: Final = 20
"""How many whole copies are kept of a small file."""
_PREFIX: Final = {4: 24, 6: 48}
_TENTHS: Final = 10


@dataclass(frozen=True, slots=True)
class Shape:
    """Any `k` of the `n` shards of a segment give it back."""

    k: int
    n: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A usable farmer: what it asks for a GB-month, how many audits in a row it has failed to pass.

    score: how often it answers, from 0 to 1. neighbourhoods: where its addresses are.
    """

    farmer: NodeId
    storage_per_gb_month: Amount
    lapses: int = 0
    score: float = 1.0
    neighbourhoods: frozenset[str] = frozenset()


def choose_shape(farmers: int, k: int | None = None, n: int | None = None, *, small: bool = False) -> Shape:
    """Decide k and n for a network of so many usable `farmers`; what the user gave stays as given.

    A given n alone takes the default share of it as k; a given k alone takes as many farmers as the
    default share asks for, where there are so many. Raises ImpossibleShape, NotEnoughFarmers.
    """
    if small and n is None and k in (None, 1):
        return choose_shape(farmers, 1, max(1, min(SMALL_N, farmers)))
    if n is None:
        wanted = DEFAULT_N if k is None else -(-k * DEFAULT_N // DEFAULT_K)
        n = max(k or 1, min(wanted, farmers, MAX_SHARDS))
    if k is None:
        k = max(1, n * DEFAULT_K // DEFAULT_N)
    if not 1 <= k <= n <= MAX_SHARDS:
        raise ImpossibleShape(k, n, MAX_SHARDS)
    if n > farmers:
        raise NotEnoughFarmers(n, farmers)
    return Shape(k, n)


def rank_farmers(
    candidates: Iterable[Candidate], randomness: bytes, taken: Iterable[str] = ()
) -> tuple[NodeId, ...]:
    """Order candidates: those with fewer lapses, in less crowded places, answering more often, cheaper.

    `taken` are the neighbourhoods of those that hold shards already, each as often as it is. Of equal lapses
    the first of each neighbourhood come before the second, and so on. Equals stand in an order made from
    `randomness`. The first n get the shards, the others are the spare ones.
    """

    def merit(candidate: Candidate) -> tuple[int, int, int, bytes]:
        lot = sha256(randomness + candidate.farmer).digest()
        unanswered = round(_TENTHS * (1 - candidate.score))
        return candidate.lapses, unanswered, candidate.storage_per_gb_month, lot

    found: list[tuple[int, int, NodeId]] = []
    crowd = Counter(taken)
    for candidate in sorted(candidates, key=merit):
        neighbours = max((crowd[one] for one in candidate.neighbourhoods), default=0)
        found.append((candidate.lapses, neighbours, candidate.farmer))
        crowd.update(candidate.neighbourhoods)
    return tuple(farmer for _, _, farmer in sorted(found, key=lambda one: one[:2]))


def neighbourhoods(urls: Iterable[str]) -> frozenset[str]:
    """Say in which neighbourhoods these addresses are; none for this machine."""
    return frozenset(found for url in urls if (found := _neighbourhood(urlsplit(url).hostname or "")))


def _neighbourhood(host: str) -> str | None:
    try:
        address = ip_address(host)
    except ValueError:
        labels = host.lower().rstrip(".").split(".")
        return None if labels[-1] in {"", "localhost"} else ".".join(labels[-2:])
    if address.is_loopback:
        return None
    return str(ip_network((address, _PREFIX[address.version]), strict=False))
