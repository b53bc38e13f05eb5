"""Where shards go: the shape k of n that a network of some size can carry, and which farmers get one.

Default: 29 of 80. With fewer than 80 usable farmers n is their number and k keeps the same share,
rounded down and at least 1 (12 farmers: 4 of 12; 3: 1 of 3), so that the same part of the farmers may
be lost. A small file is kept whole by 20 farmers, or by all where there are fewer: an agreement costs the
same however little it is about, and eighty of them would cost more than the copies. A shard of one segment
never shares a farmer with another; a farmer with two identities is the mask's affair (node.cipher).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from node.erasure import MAX_SHARDS
from node.renter.errors import ImpossibleShape, NotEnoughFarmers
from payments.types import Amount, NodeId

DEFAULT_K: Final = 29
DEFAULT_N: Final = 80
SMALL_BYTES: Final = 4_096
"""A file of at most so many bytes is small."""
SMALL_N: Final = 20
"""How many whole copies are kept of a small file."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Any `k` of the `n` shards of a segment give it back."""

    k: int
    n: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A usable farmer: what it asks for a GB-month, and how many audits in a row it has failed to pass."""

    farmer: NodeId
    storage_per_gb_month: Amount
    lapses: int = 0


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


def rank_farmers(candidates: Iterable[Candidate], randomness: bytes) -> tuple[NodeId, ...]:
    """Order candidates: those without lapses first, then the cheaper ones.

    Equals stand in an order made from `randomness`. The first n get the shards, the others are the
    spare ones.
    """

    def key(candidate: Candidate) -> tuple[int, int, bytes]:
        lot = sha256(randomness + candidate.farmer).digest()
        return candidate.lapses, candidate.storage_per_gb_month, lot

    return tuple(candidate.farmer for candidate in sorted(candidates, key=key))
