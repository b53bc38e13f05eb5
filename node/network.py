"""Where farmers are found: a Peer is what a node knows of another, a PeerBook is where it looks them up.

Until discovery over the DHT arrives, the only book is the renter's own list of peers
(`node.renter.peers`); whoever needs a farmer asks through this interface and does not notice the
change.
"""

from dataclasses import dataclass
from typing import Protocol

from payments.prices import Quote
from payments.types import Address, NodeId, Timestamp


@dataclass(frozen=True, slots=True)
class Peer:
    """A farmer as last heard from: addresses and quote are signed by its node key and were verified then.

    `urls` are tried in order. `seen_at` is when it last answered.
    """

    node: NodeId
    payee: Address
    urls: tuple[str, ...]
    quote: Quote
    added_at: Timestamp
    seen_at: Timestamp


class PeerBook(Protocol):
    """Finds farmers by id, and all of them."""

    def find(self, node: NodeId) -> Peer | None:
        """Return what is known of this farmer."""
        ...

    def list(self) -> tuple[Peer, ...]:
        """Return every farmer known, oldest acquaintance first."""
        ...
