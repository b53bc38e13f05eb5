"""The Collector: sends the claims that are due, once each, and learns what became of them.

The decisions are `payments.policy`'s and `payments.sweep`'s. A claim in flight is not sent again, unless its
channel closes and has earned more since. Waiting for one never keeps another back that has become urgent. A
claim that cannot be sent now (no gas money, fees above the ceiling, chain away) stays in the outbox and is
reported as trouble.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from node.db.farmer_latency import record_latency
from node.farmer.claimable import BATCH_GAS, Candidate, Considered, consider, find_candidates
from node.farmer.contract_signers import still_signed
from node.farmer.farm import Farm
from node.farmer.gas_prices import GasPrices
from node.farmer.restored import may_claim
from payments.deadlines import deadline_ceiling
from payments.types import Amount, Seconds, Timestamp
from payments.vouchers import SigningKey, Voucher
from settlement.calls import Claim
from settlement.chain_events import Reason
from settlement.claims import Batch, Outcome, plan_claims, submit_batch, wait_batch
from settlement.errors import ChainError, Reverted, TransactionPending
from settlement.outbox import DEFAULT_CEILING, Outbox

log = logging.getLogger("tithebarn.farmer")

_UNPROVEN = (Reason.BAD_PROOF, Reason.BAD_SIGNATURE, Reason.TOO_LARGE)
"""A proof that does not belong to its voucher, or that no transaction carries."""


@dataclass(frozen=True, slots=True)
class Flight:
    """A transaction of claims that is on its way, and when it was sent."""

    batch: Batch
    since: Timestamp

    def carries(self, claim: Claim) -> bool:
        """Whether it brings what this claim would, or more."""
        mine = claim.voucher.voucher
        return any(
            one.voucher.voucher.channel_id == mine.channel_id
            and one.voucher.voucher.cumulative_amount >= mine.cumulative_amount
            for one in self.batch.claims
        )

    def touches(self, claim: Claim) -> bool:
        """Whether it claims from the same channel."""
        mine = claim.voucher.voucher.channel_id
        return any(one.voucher.voucher.channel_id == mine for one in self.batch.claims)


class Collector:
    """Claims for one farmer. Without a gas key it only says what it would do."""

    def __init__(self, farm: Farm, outbox: Outbox, key: SigningKey | None) -> None:
        self._farm = farm
        self._outbox = outbox
        self._key = key
        self._prices = GasPrices(farm.chain)
        self._lock = asyncio.Lock()
        self._flights: dict[int, Flight] = {}
        self._refused: set[Voucher] = set()
        self.price: int | None = None
        """What a unit of gas cost the last time, in wei."""
        self.trouble: str | None = None
        """Why the last claim that was decided upon could not be made."""

    async def collect(self, *, everything: bool = False) -> tuple[Outcome, ...]:
        """Claim what the policy says is due, or all there is; what became of each channel.

        Returns early when `claims_due` is set meanwhile: a later call tells of what is on its way. Raises
        nothing for a chain that does not play along: that is `trouble`, and the next call tries again.
        """
        async with self._lock:
            self._farm.claims_due.clear()
            considered = await self._consider()
            self._outbox.set_ceiling(self._ceiling(considered))
            told = list(await self._land(0))
            landed = {one.channel_id: one.claimed or 0 for one in told}  # the books hear of it later
            due = [one for one in considered if everything or one.decision.claim]
            claims = [
                one.claim
                for one in due
                if one.claim
                and not self._flies(one, one.claim)
                and one.claim.voucher.total > landed.get(one.candidate.channel.id, 0)
            ]
            if claims and self._key is None:
                self._report("no gas key is unlocked: nothing can be claimed")
            elif claims and self._key is not None:
                told += await self._send(claims, self._key)
            return (*told, *await self._wait())

    async def _consider(self) -> list[Considered]:
        now = self._farm.now()
        found = await self._farm.run(self._farm.database.read, lambda conn: find_candidates(conn, now))
        mine = may_claim(self._farm, [one.channel for one in found])
        self.price = await self._prices.now()
        cheaper = await self._prices.cheaper(self.price, now)
        trusted = [self._trusted(one) for one in found if one.channel.id in mine]
        return consider(self._farm.config, trusted, gas_wei=self.price, now=now, cheaper=cheaper)

    def _trusted(self, one: Candidate) -> Candidate:
        """Leave a proof out that the contract has refused: what is paid is claimed without it."""
        proven = one.book.earnings.proven
        if proven is None or proven.voucher not in self._refused:
            return one
        return replace(one, claimable=replace(one.claimable, unpaid=None), proof=b"")

    def _ceiling(self, considered: Iterable[Considered]) -> int:
        """What gas may cost now. All that is open has the same: what has the next nonce must go first."""
        config = self._farm.config
        ordinary = config.max_gas_fee or DEFAULT_CEILING
        closing = [one for one in considered if one.decision.claim and one.candidate.channel.closes_at]
        if not closing:
            return ordinary
        return deadline_ceiling(
            ordinary,
            config.deadline_gas_fee,
            amount=Amount(sum(one.amount for one in closing)),
            gas=BATCH_GAS + sum(one.gas for one in closing),
            gas_price=config.gas_price,
        )

    def _flies(self, one: Considered, claim: Claim) -> bool:
        """Whether this claim need not be sent beside what is on its way."""
        if one.candidate.channel.closes_at:
            return any(flight.carries(claim) for flight in self._flights.values())
        return any(flight.touches(claim) for flight in self._flights.values())

    async def _send(self, claims: Sequence[Claim], key: SigningKey) -> tuple[Outcome, ...]:
        """Send claims; the outcome of those that need not be sent at all."""
        try:
            good = [claim for claim in claims if await still_signed(self._farm, claim.voucher)]
            plan = await plan_claims(self._farm.chain, good, key.address)
            for batch in plan.batches:
                with suppress(Reverted):  # changed since the plan: no reason to leave the others
                    queued = await submit_batch(self._outbox, batch, key)
                    self._flights[queued] = Flight(batch, self._farm.now())
        except ChainError as error:
            self._report(str(error))
            return ()
        if not plan.batches:
            self.trouble = None
        for outcome in plan.left_out:
            self._tell(outcome, claims)
        for claim in claims:
            if claim not in good:
                name = claim.voucher.voucher.channel_id.hex()
                self._report(f"channel 0x{name[:16]}: the contract that signed its voucher refuses it now")
        return plan.left_out

    async def _wait(self) -> tuple[Outcome, ...]:
        """Wait until all that is on its way has arrived, or something else is due."""
        if not self._flights:
            return ()
        landing = asyncio.create_task(self._land(None))
        due = asyncio.create_task(self._farm.claims_due.wait())
        try:
            await asyncio.wait({landing, due}, return_when=asyncio.FIRST_COMPLETED)
            return landing.result() if landing.done() else ()
        finally:
            for task in (landing, due):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _land(self, seconds: float | None) -> tuple[Outcome, ...]:
        """Learn what became of the claims on their way, each within `seconds`, or what its depth takes."""
        told: list[Outcome] = []
        for queued, flight in list(self._flights.items()):
            try:
                outcomes = await wait_batch(self._farm.chain, self._outbox, flight.batch, queued, seconds)
            except TransactionPending as error:
                if seconds is None:
                    self._report(str(error))
                continue
            except ChainError as error:
                if not self._still_open(queued):
                    del self._flights[queued]
                self._report(str(error))
                continue
            del self._flights[queued]
            self.trouble = None
            for outcome in outcomes:
                self._tell(outcome, flight.batch.claims)
            told += outcomes
            await self._record(outcomes, flight)
        return tuple(told)

    def _still_open(self, queued: int) -> bool:
        return any(one.id == queued for one in self._outbox.open())

    async def _record(self, outcomes: Iterable[Outcome], flight: Flight) -> None:
        """Note how long a claim took that was paid."""
        if any(outcome.claimed is not None for outcome in outcomes):
            now = self._farm.now()
            taken = Seconds(max(0, now - flight.since))
            await self._farm.database.write(lambda conn: record_latency(conn, taken, now))

    def _tell(self, outcome: Outcome, claims: Iterable[Claim]) -> None:
        """Count and log what became of one claim; a proof that was refused is not shown again."""
        proven = {claim.voucher.voucher.channel_id: claim.voucher.voucher for claim in claims if claim.proof}
        if outcome.reason in _UNPROVEN and outcome.channel_id in proven:
            self._refused.add(proven[outcome.channel_id])
            self._farm.claims_due.set()
        name = outcome.channel_id.hex()
        if outcome.claimed is not None:
            self._farm.stats.count("claims")
            log.info("claimed channel=%s total=%d", name, outcome.claimed)
        elif outcome.reason is not Reason.STALE:
            self.trouble = f"channel 0x{name[:16]}: the contract skipped the claim ({outcome.reason.name})"
            log.warning("claim_skipped channel=%s reason=%s", name, outcome.reason.name)

    def _report(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.warning("claim_waits reason=%s", trouble)
        self.trouble = trouble
