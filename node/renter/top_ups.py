"""Top-ups: a renter that runs raises its deposits before they are used up, as far as its owner allows.

All channels that run dry are topped up in one transaction (as far as one can name them together), to what
the agreements take that were signed: what a farmer asks by now moves nothing. Where the caps do not suffice
for all, each gets an equal part, first to last for a while. A cap counts what was sent, even if it never
arrived.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from node.agreement import Agreement
from node.db import Connection
from node.db.renter_shards import load_audited_shards
from node.db.renter_top_ups import record_top_up, sum_top_ups
from node.renter.context import Context
from node.renter.errors import NoQuote, TokensMissing
from node.renter.exits import Exits
from node.renter.funding import Funding
from node.renter.money import Account, active_account
from node.renter.peers import Peers
from node.renter.reports import FundingRow
from node.renter.targets import Need, agreed_target, fill
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

    def __init__(
        self, context: Context, peers: Peers, funding: Funding, exits: Exits, rules: TopUpRules
    ) -> None:
        self._context = context
        self._peers = peers
        self._funding = funding
        self._exits = exits
        self._rules = rules

    async def top_up(self) -> ToppedUp:
        """Top up once what runs dry. Raises ChainError, StorageError."""
        now, database = self._context.now(), self._context.database
        if not database.read(lambda conn: self._running_dry(conn, now)) or self._exits.sending(PURPOSE):
            return ToppedUp()
        await self._exits.channels.refresh()
        dry = database.read(lambda conn: self._running_dry(conn, now))
        budget = database.read(lambda conn: self._budget(conn, now))
        if dry and not budget:
            return ToppedUp(trouble=f"{len(dry)} channels run dry, and the cap on top-ups is reached")
        return await self._send(dry, budget, now)

    async def _send(self, dry: Mapping[NodeId, Need], budget: Amount, now: Timestamp) -> ToppedUp:
        """Divide the budget among the farmers that are there: who is away waits, and the others do not."""
        reports = await self._peers.quotes(dry)
        away = [NoQuote(one.farmer, one.fault.reason) for one in reports if one.fault is not None]
        trouble = [str(error) for error in away]
        rows = fill([dry[one.farmer] for one in reports if one.fault is None], budget)
        if not rows:
            return ToppedUp(trouble="; ".join(trouble))
        try:
            plan = await self._funding.plan_rows(rows, self._rules.seconds)
        except TokensMissing as error:
            return ToppedUp(trouble="; ".join((*trouble, str(error))))
        await self._context.database.write(partial(record_top_up, amount=plan.total, now=now))
        await self._funding.fund(plan, PURPOSE)
        log.info("topped_up farmers=%d amount=%d", len(plan.rows), plan.total)
        return ToppedUp(plan.total, len(plan.rows), "; ".join(trouble))

    def _budget(self, conn: Connection, now: Timestamp) -> Amount:
        """What the caps leave."""
        ever, lately = sum_top_ups(conn), sum_top_ups(conn, Timestamp(now - DAY))
        return Amount(max(0, min(self._rules.cap - ever, self._rules.daily - lately)))

    def _running_dry(self, conn: Connection, now: Timestamp) -> dict[NodeId, Need]:
        """What channels need that do not last; of our own payer, to farmers whose address is known."""
        agreed, needs = _agreed(conn, now), dict[NodeId, Need]()
        for peer in self._peers.list():
            account = active_account(conn, peer.node)
            if account is None or not self._funding.fundable(account):
                continue
            terms = agreed.get(peer.node, ())
            need = self._need(account, terms)
            if _lasts(account, terms) < self._rules.ahead and need.row.added:
                needs[peer.node] = need
        return needs

    def _need(self, account: Account, agreed: Sequence[Agreement]) -> Need:
        channel, rules = account.channel, self._rules
        soon = agreed_target(channel.promised, agreed, rules.ahead, read=False)
        full = agreed_target(channel.promised, agreed, rules.seconds, read=True)
        row = FundingRow(
            farmer=account.farmer,
            channel=channel.id,
            terms=channel.terms,
            life=account.purse.life,
            deposit=channel.deposit,
            target=max(soon, full),
            storage_cost=Amount(0),
        )
        return Need(row, soon)


def _agreed(conn: Connection, now: Timestamp) -> Mapping[NodeId, Sequence[Agreement]]:
    """By farmer, the agreements that are audited and paid."""
    found: dict[NodeId, list[Agreement]] = {}
    for shard in load_audited_shards(conn, now):
        found.setdefault(NodeId(shard.agreement.farmer), []).append(shard.agreement)
    return found


def _lasts(account: Account, agreed: Sequence[Agreement]) -> int:
    """Say for how many seconds the rest of a deposit pays all audits."""
    day = sum(terms.step * DAY * 1_000 // max(1, terms.audit_interval) for terms in agreed)
    return account.channel.free * DAY * 1_000 // day if day else 2**62
