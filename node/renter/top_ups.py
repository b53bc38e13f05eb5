"""Top-ups: a renter that runs raises its deposits before they are used up, as far as its owner allows.

All channels that run dry are topped up in one transaction (as far as one can name them together), the most
urgent first where the caps do not suffice for all. A cap counts what was sent, even if it never arrived.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from node.db import Connection
from node.db.renter_shards import load_audited_shards
from node.db.renter_top_ups import record_top_up, sum_top_ups
from node.renter.context import Context
from node.renter.errors import NoQuote, NothingToDo, TokensMissing
from node.renter.exits import Exits
from node.renter.funding import Funding
from node.renter.money import Account, active_account
from payments.types import Amount, NodeId, Seconds, Timestamp

log = logging.getLogger("tithebarn.renter")

DAY: Final = 86_400
PURPOSE: Final = "top up"
"""Of the transactions, in the outbox."""


@dataclass(frozen=True, slots=True)
class TopUpRules:
    """What the owner allows, in base units: `cap` in all that was ever topped up here, `daily` in 24 hours.

    A channel that lasts less than `ahead` is filled up for `seconds`.
    """

    cap: Amount
    daily: Amount
    ahead: Seconds = Seconds(7 * DAY)  # noqa: RUF009 - a NewType is no call at run time
    seconds: Seconds = Seconds(30 * DAY)  # noqa: RUF009


@dataclass(frozen=True, slots=True)
class ToppedUp:
    """What one round of top-ups did: tokens moved, to how many farmers; `trouble` says why not more."""

    amount: Amount = Amount(0)  # noqa: RUF009
    farmers: int = 0
    trouble: str = ""


class TopUps:
    """Looks which channels run dry, and tops them up."""

    def __init__(self, context: Context, funding: Funding, exits: Exits, rules: TopUpRules) -> None:
        self._context = context
        self._funding = funding
        self._exits = exits
        self._rules = rules

    async def top_up(self) -> ToppedUp:
        """Top up once what runs dry. Raises ChainError, StorageError."""
        now = self._context.now()
        dry = self._context.database.read(lambda conn: self._running_dry(conn, now))
        if not dry or self._exits.sending(PURPOSE):
            return ToppedUp()
        budget = self._context.database.read(lambda conn: self._budget(conn, now))
        if not budget:
            return ToppedUp(trouble=f"{len(dry)} channels run dry, and the cap on top-ups is reached")
        return await self._send(dry, budget, now)

    async def _send(self, dry: list[NodeId], budget: Amount, now: Timestamp) -> ToppedUp:
        silent: list[str] = []
        while dry:
            try:
                plan = await self._funding.plan(dry, seconds=self._rules.seconds, budget=budget)
            except NoQuote as error:  # the others do not wait for it
                dry = [farmer for farmer in dry if farmer != error.farmer]
                silent.append(str(error))
                continue
            except NothingToDo:  # the quotes are lower than the agreements
                break
            except TokensMissing as error:
                return ToppedUp(trouble="; ".join((*silent, str(error))))
            await self._context.database.write(partial(record_top_up, amount=plan.total, now=now))
            await self._funding.fund(plan, PURPOSE)
            log.info("topped_up farmers=%d amount=%d", len(plan.rows), plan.total)
            return ToppedUp(plan.total, len(plan.rows), "; ".join(silent))
        return ToppedUp(trouble="; ".join(silent))

    def _budget(self, conn: Connection, now: Timestamp) -> Amount:
        """What the caps leave."""
        ever, lately = sum_top_ups(conn), sum_top_ups(conn, Timestamp(now - DAY))
        return Amount(max(0, min(self._rules.cap - ever, self._rules.daily - lately)))

    def _running_dry(self, conn: Connection, now: Timestamp) -> list[NodeId]:
        """Farmers whose channel does not last, the most urgent first; only channels of our own payer."""
        rates = _rates(conn, now)
        found: list[tuple[int, NodeId]] = []
        for farmer, rate in rates.items():
            account = active_account(conn, farmer)
            if account is None or account.channel.terms.payer != self._context.keys.payer:
                continue
            lasts = _lasts(account, rate)
            if lasts < self._rules.ahead:
                found.append((lasts, farmer))
        return [farmer for _, farmer in sorted(found)]


def _rates(conn: Connection, now: Timestamp) -> Mapping[NodeId, Sequence[tuple[int, int]]]:
    """What each farmer's audits take: pairs of a step and its interval in seconds."""
    rates: dict[NodeId, list[tuple[int, int]]] = {}
    for shard in load_audited_shards(conn, now):
        terms = shard.agreement
        rates.setdefault(NodeId(terms.farmer), []).append((terms.step, terms.audit_interval))
    return rates


def _lasts(account: Account, rate: Sequence[tuple[int, int]]) -> int:
    """Say for how many seconds the rest of a deposit pays all audits."""
    day = sum(step * DAY * 1_000 // max(1, interval) for step, interval in rate)
    return account.channel.free * DAY * 1_000 // day if day else 2**62
