"""Refusals: why a node takes no transaction, read from its sentence, and what follows for the next attempt.

Nodes agree on no codes (EIP-1474 has one for all of it), only roughly on words, which are matched here in
lower case. What is not known is kept as it was said.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto
from typing import Final

from settlement.errors import ChainError, FeeAboveCeiling, NodeRefused


class Refusal(Enum):
    """What a node's no means."""

    SEEN = auto()
    """It has the transaction, or its nonce is used: the chain decides, and the next tick sees it."""
    FEE_CAP = auto()
    """It passes on nothing that may cost so much: a lower fee is taken."""
    NEVER = auto()
    """No fee and no waiting makes it take this one."""
    OTHER = auto()
    """Underpriced, short of money, busy, or something unknown: it waits, and a higher fee may help."""


_WORDS: Final = (
    (Refusal.SEEN, r"already.?known|known transaction|already imported|nonce.?too.?low|old.?nonce"),
    (Refusal.FEE_CAP, r"fee.*exceeds.*cap"),
    (
        Refusal.NEVER,
        r"oversized|exceeds.*block gas limit|intrinsic gas too low|gas limit.*(too high|greater than)",
    ),
)
_CAP: Final = re.compile(r"cap \((\d+(?:\.\d+)?) ether\)")
_WEI: Final = 10**18


def read_refusal(refusal: NodeRefused) -> Refusal:
    """Read what a node's refusal of a raw transaction means."""
    for meaning, words in _WORDS:
        if re.search(words, refusal.message.lower()):
            return meaning
    return Refusal.OTHER


@dataclass(slots=True)
class FeeCap:
    """What the nodes here let one transaction cost at most, in wei; learned from their refusals."""

    limit: int | None = None
    refusal: NodeRefused | None = None

    def learn(self, refusal: NodeRefused, cost: int) -> None:
        """Note that a node has refused `cost` wei: it says what it takes (as geth), or less is tried."""
        told = _CAP.search(refusal.message.lower())
        limit = int(Decimal(told[1]) * _WEI) if told else 0
        self.limit = limit if 0 < limit < cost else cost * 7 // 8
        self.refusal = refusal

    def takes(self, gas: int, fee: int) -> bool:
        """Whether they may take so much gas at this fee a unit, by what is known."""
        return self.limit is None or gas * fee <= self.limit

    def room(self, gas: int, ceiling: int) -> int:
        """What a unit of so much gas may cost, in wei, below `ceiling`."""
        return ceiling if self.limit is None else min(ceiling, self.limit // max(1, gas))

    def explain(self, error: ChainError, ceiling: int) -> ChainError:
        """Name the node's refusal where it is what keeps a fee below what the chain asks for."""
        narrower = isinstance(error, FeeAboveCeiling) and error.ceiling < ceiling
        return self.refusal if narrower and self.refusal is not None else error
