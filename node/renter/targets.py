"""Funding targets: how much a channel must hold for what is to be stored, and which calls fund many at once.

Pure. A fund call raises channels of one signer, token, challenge period and salt; the salt carries the life.
New channels therefore share a life wherever they may, so that one transaction opens them all; a channel that
exists is topped up under its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from node.agreement import Agreement
from node.renter.limits import Limits
from node.renter.placement import Shape
from node.renter.reports import FundingRow
from node.segments import SEGMENT_SIZE
from payments.prices import Quote, deposit_for, read_price, step_price
from payments.types import MAX_AMOUNT, MIB, Address, Amount, NodeId, Seconds, to_amount
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


@dataclass(frozen=True, slots=True)
class Need:
    """A channel that runs dry: the row that fills it up, and the target with which it lasts for a while."""

    row: FundingRow
    soon: Amount


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


def agreed_target(promised: Amount, agreed: Iterable[Agreement], seconds: Seconds, *, read: bool) -> Amount:
    """Compute the deposit that pays these agreements for `seconds`, and a read of everything if wished.

    By what was signed, whatever their farmer asks by now.
    """
    total = int(promised)
    for terms in agreed:
        total += terms.step * (-(-seconds // terms.audit_interval) + 1)
        if read:
            total += -(-terms.shard_length // MIB) * read_price(terms.download_price, MIB)
    return Amount(min(total, MAX_AMOUNT))


def fill(needs: Sequence[Need], budget: Amount) -> list[FundingRow]:
    """Divide a budget: first every channel is to last for a while, then all are filled up."""
    soon = share_out([max(0, need.soon - need.row.deposit) for need in needs], budget)
    wanted = [need.row.added - got for need, got in zip(needs, soon, strict=True)]
    later = share_out(wanted, budget - sum(soon))
    added = [(need.row, one + two) for need, one, two in zip(needs, soon, later, strict=True)]
    return [replace(row, target=Amount(row.deposit + more)) for row, more in added if more]


def share_out(wanted: Sequence[int], budget: int) -> list[int]:
    """Divide a budget: nobody gets more than is wanted, nor more than a part equal to those of who lack."""
    got = [0] * len(wanted)
    for place, number in enumerate(sorted(range(len(wanted)), key=wanted.__getitem__)):
        got[number] = min(wanted[number], (budget - sum(got)) // (len(wanted) - place))
    return got


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
