"""Turning vouchers into tokens: what could be claimed, whether it is time, why not yet, and the claim itself.

The decision is `payments.policy`'s; here it gets its facts and is carried out. A claim that cannot be sent
now (no gas money, fees above the ceiling, chain away) stays in the outbox and is reported as trouble.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from node.db import Connection
from node.db.farmer import Book, list_books
from node.db.farmer_agreements import load_sums
from node.farmer.config import FarmerConfig
from node.farmer.farm import Farm, caught_up
from payments.channel import Channel
from payments.policy import Claimable, ClaimDecision, decide
from payments.types import Amount, Timestamp, to_amount
from payments.vouchers import SigningKey
from settlement.chain_events import Reason
from settlement.claims import Outcome, plan_claims, send_claims
from settlement.client import Chain, Claim
from settlement.errors import ChainError
from settlement.outbox import Outbox
from settlement.tables import load_channel

log = logging.getLogger("tithebarn.farmer")

BATCH_GAS = 45_000
"""Gas of a claim transaction before its first row, as measured."""
ROW_GAS = 13_000
"""Gas of each row."""
ALONE_GAS = BATCH_GAS + ROW_GAS
_ETHER = 10**18
_MAX_AMOUNT = 2**96 - 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """One channel and what could be claimed from it."""

    channel: Channel
    book: Book
    claimable: Claimable


@dataclass(frozen=True, slots=True)
class Considered:
    """A candidate, the fee its claim would cost (None: no price of gas is known), and the decision."""

    candidate: Candidate
    fee: Amount | None
    decision: ClaimDecision


def find_candidates(conn: Connection, now: Timestamp) -> list[Candidate]:
    """Every accepted channel, with what its unconditional voucher would bring."""
    found = []
    for book in list_books(conn):
        channel = load_channel(conn, book.channel_id)
        if channel is None:
            continue
        sums = load_sums(conn, book.renter)
        current = caught_up(book, channel, sums)
        paid = current.earnings.paid
        amount = max(0, min(paid.total, channel.deposit) - channel.claimed) if paid else 0
        since = current.unclaimed_since or now
        claimable = Claimable(Amount(amount), since, sums.storage_rate)
        found.append(Candidate(channel, current, claimable))
    return found


def consider(
    config: FarmerConfig,
    candidates: Sequence[Candidate],
    *,
    gas_wei: int | None,
    now: Timestamp,
    show: Callable[[int], str] = str,
) -> list[Considered]:
    """Decide about every channel; `gas_wei` is the price of a unit of gas, `show` writes amounts."""
    worth = sum(1 for candidate in candidates if candidate.claimable.amount)
    fee = _fee(config, gas_wei, worth)
    decisions = [
        decide(config.claims, one.channel, one.claimable, fee=fee, now=now, show=show) for one in candidates
    ]
    return [Considered(one, fee, decision) for one, decision in zip(candidates, decisions, strict=True)]


async def gas_now(chain: Chain) -> int | None:
    """What a unit of gas costs in wei; None if the chain does not say."""
    try:
        return (await chain.rpc.fees()).now
    except ChainError:
        return None


class Collector:
    """Claims for one farmer. Without a gas key it only says what it would do."""

    def __init__(self, farm: Farm, outbox: Outbox, key: SigningKey | None) -> None:
        self._farm = farm
        self._outbox = outbox
        self._key = key
        self._lock = asyncio.Lock()
        self.trouble: str | None = None
        """Why the last claim that was decided upon could not be made."""

    async def collect(self, *, everything: bool = False) -> tuple[Outcome, ...]:
        """Claim what the policy says is due, or all there is; what became of each channel.

        Raises nothing for a chain that does not play along: that is `trouble`, and the next call tries again.
        """
        async with self._lock:
            return await self._collect(everything=everything)

    async def _collect(self, *, everything: bool) -> tuple[Outcome, ...]:
        now = self._farm.now()
        candidates = self._farm.database.read(lambda conn: find_candidates(conn, now))
        gas_wei = await gas_now(self._farm.chain)
        due = [
            one.candidate
            for one in consider(self._farm.config, candidates, gas_wei=gas_wei, now=now)
            if one.candidate.claimable.amount and (everything or one.decision.claim)
        ]
        if not due:
            return ()
        if self._key is None:
            self._report("no gas key is unlocked: nothing can be claimed")
            return ()
        return await self._claim(due, self._key)

    async def _claim(self, due: Sequence[Candidate], key: SigningKey) -> tuple[Outcome, ...]:
        claims = [
            Claim(one.channel.terms, one.book.earnings.paid)
            for one in due
            if one.book.earnings.paid is not None
        ]
        chain = self._farm.chain
        try:
            plan = await plan_claims(chain, claims, key.address)
            outcomes = await send_claims(chain, self._outbox, plan, key)
        except ChainError as error:
            self._report(str(error))
            return ()
        self.trouble = None
        for outcome in outcomes:
            name = outcome.channel_id.hex()
            if outcome.claimed is not None:
                self._farm.stats.count("claims")
                log.info("claimed channel=%s total=%d", name, outcome.claimed)
            elif outcome.reason is not Reason.STALE:
                self.trouble = (
                    f"channel 0x{name[:16]}: the contract skipped the claim ({outcome.reason.name})"
                )
                log.warning("claim_skipped channel=%s reason=%s", name, outcome.reason.name)
        return outcomes

    def _report(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.warning("claim_waits reason=%s", trouble)
        self.trouble = trouble


def _fee(config: FarmerConfig, gas_wei: int | None, rows: int) -> Amount | None:
    """One row's share of a transaction, in base units of the token."""
    if gas_wei is None or config.gas_price is None or not rows:
        return None
    gas = -(-BATCH_GAS // rows) + ROW_GAS
    return to_amount(min(_MAX_AMOUNT, -(-gas * gas_wei * config.gas_price // _ETHER)))
