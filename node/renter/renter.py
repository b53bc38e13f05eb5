"""The Renter: one object that puts the parts together. See `node.renter` for what they offer."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Self

from sqlmodel import SQLModel

from node.clock import Clock, wall_clock
from node.db import (
    renter_audits,
    renter_files,
    renter_peers,
    renter_presence,
    renter_purses,
    renter_repairs,
    renter_segments,
    renter_shards,
    renter_shelf,
    renter_top_ups,
    restoration,
)
from node.renter.accounts import Accounts
from node.renter.audits import Audits
from node.renter.channels import Channels
from node.renter.checker import Checker
from node.renter.context import Context, Keys
from node.renter.deletions import Deletions
from node.renter.examiner import Examiner
from node.renter.exits import Exits
from node.renter.files import Files
from node.renter.funding import Funding
from node.renter.get import Getter
from node.renter.limits import USUAL, Limits
from node.renter.locks import Locks
from node.renter.payments import Payments
from node.renter.peers import Peers
from node.renter.put import Putter
from node.renter.renewals import Renewals
from node.renter.repair import Repairs
from node.renter.repair_reports import RepairResult
from node.renter.reports import PaymentResult
from node.renter.run import Run, Sleep
from node.renter.run_reports import Reconciled, TickReport
from node.renter.shelf import Shelf
from node.renter.top_ups import TopUpRules, TopUps
from node.transport import Patience, Transport
from settlement.client import Chain
from settlement.database import Database
from settlement.errors import ChainError
from settlement.outbox import Outbox
from settlement.tables import TABLES as CHAIN_TABLES

TABLES: Final[tuple[type[SQLModel], ...]] = (
    *CHAIN_TABLES,
    *renter_peers.TABLES,
    *renter_purses.TABLES,
    *renter_audits.TABLES,
    *renter_files.TABLES,
    *renter_shards.TABLES,
    *renter_segments.TABLES,
    *renter_shelf.TABLES,
    *renter_presence.TABLES,
    *renter_repairs.TABLES,
    *restoration.TABLES,
    *renter_top_ups.TABLES,
)
"""Everything in a renter's money database."""


def ignore_tick(report: TickReport) -> None:
    """Take no notice of a step."""


class Renter:
    """A renter on one chain. `database` (opened with TABLES) and `chain` stay the caller's to close.

    `locks` is a folder that all processes of this renter share; None when there is only one. `top_ups`: what
    `run` may put into channels by itself; None: nothing. `repair_cap`: bytes that its repairs may move in 24
    hours; None: it repairs and renews nothing. `limits`: what it signs at most.
    """

    def __init__(
        self,
        database: Database,
        chain: Chain,
        keys: Keys,
        *,
        clock: Clock = wall_clock,
        locks: Path | None = None,
        patience: Patience | None = None,
        top_ups: TopUpRules | None = None,
        repair_cap: int | None = None,
        limits: Limits = USUAL,
    ) -> None:
        self._transport = Transport(keys.node, clock, patience)
        self._outbox = Outbox(database, chain)
        self._keys = keys
        context = Context(database, chain, keys, self._transport, clock, Locks(locks), limits)
        self.peers = Peers(context)
        self.channels = Channels(context, self.peers)
        self.exits = Exits(context, self.channels, self._outbox)
        self.funding = Funding(context, self.peers, self.exits)
        accounts = Accounts(context, self.peers, self.channels)
        self.payments = Payments(context, accounts)
        self._deletions = Deletions(context, self.peers)
        self.shelf = Shelf(context, self.peers)
        self._putter = Putter(context, self.peers, accounts, self._deletions)
        checker = Checker(context)
        self.repairs = Repairs(context, self.peers, accounts, checker)
        self.renewals = Renewals(context, self.peers, accounts, checker)
        self.files = Files(
            context,
            self._putter,
            Getter(context, self.peers, accounts),
            self._deletions,
            payments=self.payments,
            shelf=self.shelf,
            checker=checker,
        )
        self.audits = Audits(context, Examiner(context, accounts, self.channels), self.payments)
        self._run = Run(
            context,
            peers=self.peers,
            exits=self.exits,
            audits=self.audits,
            payments=self.payments,
            deletions=self._deletions,
            accounts=accounts,
            shelf=self.shelf,
            top_ups=TopUps(context, self.peers, self.funding, self.exits, top_ups) if top_ups else None,
            repairs=self.repairs,
            renewals=self.renewals,
            repair_cap=repair_cap,
        )

    @classmethod
    async def open(
        cls,
        database: Database,
        chain: Chain,
        keys: Keys,
        *,
        clock: Clock = wall_clock,
        locks: Path | None = None,
        patience: Patience | None = None,
        top_ups: TopUpRules | None = None,
        repair_cap: int | None = None,
        limits: Limits = USUAL,
    ) -> Self:
        """Make a renter and finish what a killed process left behind. Raises StorageError."""
        renter = cls(
            database,
            chain,
            keys,
            clock=clock,
            locks=locks,
            patience=patience,
            top_ups=top_ups,
            repair_cap=repair_cap,
            limits=limits,
        )
        await renter.recover()
        return renter

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End what goes on, and close the connections to farmers."""
        await self._run.close()
        await self._putter.close()
        await self._transport.close()

    async def recover(self) -> int:
        """Give up files whose put was killed; how many. Their shards are deleted by `rent run`, or `tell`.

        Open transactions are sent again, and by `rent run` where the chain does not answer now; open audits
        go on with the next audit. Raises StorageError.
        """
        with contextlib.suppress(ChainError):
            await self.exits.resume()
        return await self._deletions.give_up_dead_puts()

    async def reconcile(self) -> Reconciled:
        """Learn again what a restored copy does not know: from the chain, and from every farmer that answers.

        Nothing is signed in a channel before. Does nothing where all is known.
        Raises ChainError, StorageError.
        """
        return await self._run.reconcile()

    async def repair(
        self, names: Iterable[str] | None = None, *, full: bool = False
    ) -> tuple[RepairResult, ...]:
        """Repair these files, or all, now, and tell farmers what has changed. See `Repairs.repair`."""
        results = await self.repairs.repair(names, full=full)
        await self._deletions.tell()
        await self.shelf.deliver()
        return results

    async def tick(self) -> TickReport:
        """Take one step of `run`."""
        return await self._run.tick()

    async def run(
        self,
        stop: asyncio.Event,
        *,
        sleep: Sleep = asyncio.sleep,
        on_tick: Callable[[TickReport], None] = ignore_tick,
    ) -> tuple[PaymentResult, ...]:
        """Audit and pay on schedule until `stop` is set; what was paid at the end. Raises StorageError."""
        return await self._run.run(stop, sleep, on_tick)
