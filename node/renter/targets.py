"""Funding targets: how much a channel must hold for what is to be stored, and which calls fund many at once.

Pure. A fund call raises channels of one signer, token, challenge period and salt; the salt carries the life.
New channels therefore share a life wherever they may, so that one transaction opens them all; a channel that
exists is topped up under its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from node.renter.limits import Limits
from node.renter.placement import Shape
from node.renter.reports import FundingRow
from node.segments import SEGMENT_SIZE
from payments.prices import Quote, deposit_for, step_price
from payments.types import Address, Amount, NodeId, Seconds, to_amount
from payments.vouchers import Terms

MOST_ROWS: Final = 500
"""Rows in one fund call: 500 channels open for about 12 million gas of the 16.7 a transaction may take."""


@dataclass(frozen=True, slots=True)
class Open:
    """A channel that exists: it is topped up as it is."""

    terms: Terms
    life: int
    deposit: Amount
    promised: Amount


@dataclass(frozen=True, slots=True)
class Wish:
    """A farmer to be paid: its quote, its open channel if there is one, else the first life that is free."""

    farmer: NodeId
    payee: Address
    quote: Quote
    open: Open | None
    free_life: int = 0


def shares(stored_bytes: int, farmers: int, shape: Shape) -> tuple[int, ...]:
    """Cut one farmer's part of `stored_bytes` into shards; their lengths in bytes.

    The code k of n makes n / k bytes of each, spread over all farmers.
    """
    share = -(-stored_bytes * shape.n // (shape.k * farmers))
    full, rest = divmod(share, -(-SEGMENT_SIZE // shape.k))
    return (-(-SEGMENT_SIZE // shape.k),) * full + ((rest,) if rest else ())


def storage_target(wish: Wish, lengths: Sequence[int], seconds: Seconds) -> Amount:
    """Compute the deposit that keeps these shards for `seconds` and lets each be read once."""
    promised = wish.open.promised if wish.open else to_amount(0)
    return deposit_for(wish.quote, lengths, seconds, read_bytes=sum(lengths), promised=promised)


def storage_cost(quote: Quote, lengths: Iterable[int], seconds: Seconds) -> Amount:
    """Compute what storing these shards costs, audit by audit, without reads."""
    steps = sum(step_price(quote.prices, length, quote.audit_interval) for length in lengths)
    return to_amount(steps * -(-seconds // quote.audit_interval))


def new_life(wishes: Iterable[Wish]) -> int:
    """Choose the life that all new channels of one funding take: the lowest that is free for each of them."""
    return max((wish.free_life for wish in wishes if wish.open is None), default=0)


def new_period(quote: Quote, usual: Seconds, limits: Limits) -> Seconds:
    """Choose a new channel's challenge period: the usual one, or the nearest that both sides accept.

    Raises AboveLimit where there is none.
    """
    limits.check_period(quote)
    wanted = min(usual, limits.challenge_period)
    return Seconds(min(max(wanted, quote.min_challenge_period), quote.max_challenge_period))


def within(rows: Sequence[FundingRow], order: Sequence[NodeId], budget: Amount | None) -> list[FundingRow]:
    """Keep to a budget: in this order each row gets all it wants, the last what is left."""
    if budget is None:
        return list(rows)
    place = {farmer: number for number, farmer in enumerate(order)}
    left, kept = int(budget), []
    for row in sorted(rows, key=lambda row: place[row.farmer]):
        added = min(row.added, left)
        if added:
            kept.append(replace(row, target=Amount(row.deposit + added)))
            left -= added
    return kept


def batches(rows: Iterable[FundingRow]) -> list[tuple[FundingRow, ...]]:
    """Group rows into fund calls: equal but for the payee, at most MOST_ROWS each."""

    def key(row: FundingRow) -> tuple[bytes, bytes, int, bytes]:
        terms = row.terms
        return terms.signer, terms.token, terms.challenge_period, terms.salt

    found: list[tuple[FundingRow, ...]] = []
    for _, group in groupby(sorted(rows, key=key), key=key):
        alike = tuple(group)
        found += [alike[start : start + MOST_ROWS] for start in range(0, len(alike), MOST_ROWS)]
    return found
