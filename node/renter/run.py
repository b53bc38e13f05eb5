"""`rent run`: the renter's life between its owner's commands. Audits when they are due, pays, tells, watches.

All it knows is in the database, so it may be stopped, killed and started again at any time; what the calendar
asks for it does once. Clock and sleep are given, so three days pass in a test as fast as they can.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from node.db.renter_shards import load_audited_shards
from node.db.restoration import list_frozen, list_unasked, thaw
from node.errors import NodeError
from node.renter.accounts import Accounts
from node.renter.audits import Audits
from node.renter.context import Context
from node.renter.deletions import Deletions
from node.renter.examined import Examined
from node.renter.exits import Exits
from node.renter.faults import to_fault
from node.renter.money import list_accounts, load_account
from node.renter.payments import Payments
from node.renter.peers import UNKNOWN, Peers
from node.renter.renewals import Renewals, Renewed
from node.renter.repair import Repairs
from node.renter.repair_reports import RepairResult
from node.renter.reports import Fault, PaymentResult
from node.renter.run_reports import Reconciled, TickReport
from node.renter.shelf import Shelf
from node.renter.top_ups import ToppedUp, TopUps
from node.tasks import all_of, end
from payments.channel import Status
from payments.errors import PaymentError
from payments.types import ChannelId, NodeId, Timestamp
from settlement.errors import ChainError, SignerError, StorageError

log = logging.getLogger("tithebarn.renter")

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[object]]

IDLE_SECONDS: Final = 60
"""The longest time between two looks at the chain."""


class Run:
    """Takes one step after another."""

    def __init__(
        self,
        context: Context,
        *,
        peers: Peers,
        exits: Exits,
        audits: Audits,
        payments: Payments,
        deletions: Deletions,
        accounts: Accounts,
        shelf: Shelf,
        repairs: Repairs,
        renewals: Renewals,
        top_ups: TopUps | None = None,
        repair_cap: int | None = None,
    ) -> None:
        self._context = context
        self._peers = peers
        self._exits = exits
        self._audits = audits
        self._payments = payments
        self._deletions = deletions
        self._accounts = accounts
        self._shelf = shelf
        self._top_ups = top_ups
        self._topping: asyncio.Task[ToppedUp] | None = None
        self._repairs = repairs
        self._renewals = renewals
        self._repair_cap = repair_cap
        self._repairing: asyncio.Task[object] | None = None
        self._repaired: list[RepairResult] = []
        self._troubles: list[str] = []

    async def tick(self) -> TickReport:
        """Take one step: open transactions, the chain's news, what is due, payments at the end, deletions."""
        self._peers.look_up_again()
        await self._step("the chain", self._read_chain(), None)
        topped = await self._step("top-ups", self._top_up(), ToppedUp())
        examined = await self._step("audits", self._audits.audit_due(), Examined())
        renewed = await self._step("renewals", self._renew(), Renewed())
        repaired = await self._step("repairs", self._repair(), ())
        paid = await self._step("payments", self._payments.pay_outstanding(self._done_with()), ())
        await self._step("given up puts", self._deletions.give_up_dead_puts(), 0)
        untold = await self._step("deletions", self._deletions.tell_on(), ())
        shelved = await self._step("the shelf", self._shelf.deliver(), ())
        now = self._context.now()
        wanted = self._audits.next_at()
        latest = now + IDLE_SECONDS
        troubles, self._troubles = [*self._troubles, topped.trouble], []
        return TickReport(
            at=now,
            audits=examined.results,
            payments=paid,
            faults=(*examined.faults, *renewed.faults, *untold, *shelved),
            trouble="; ".join(filter(None, troubles)),
            next_at=Timestamp(latest if wanted is None else max(now + 1, min(wanted, latest))),
            topped_up=topped.amount,
            repairs=repaired,
            renewed=renewed.count,
        )

    async def _step(self, name: str, work: Awaitable[T], otherwise: T) -> T:
        """Do one part of a step; what goes wrong in it is told, and keeps no other part from its turn.

        Raises StorageError: without books nothing can be signed.
        """
        try:
            return await work
        except StorageError:
            raise
        except ChainError as error:  # the others go on with what is known
            self._troubles.append(str(error))
        except Exception as error:  # nobody, and no farmer, ends a run by one bad answer
            log.exception("step_failed part=%s", name)
            self._troubles.append(f"{name}: {type(error).__name__}: {error}")
        return otherwise

    async def _read_chain(self) -> None:
        await self._exits.resume()
        await self._exits.channels.refresh()
        await self.reconcile()

    async def _renew(self) -> Renewed:
        return Renewed() if self._repair_cap is None else await self._renewals.renew()

    async def reconcile(self) -> Reconciled:
        """Take one step of `Renter.reconcile`: the chain, then what farmers keep, then the channels."""
        database = self._context.database
        if not database.read(list_frozen) and not database.read(list_unasked):
            return Reconciled()
        await self._exits.channels.refresh()
        collected = await self._shelf.collect()
        await self._exits.channels.refresh()  # farmers that were unknown until now have channels too
        faults = await all_of(self._meet(channel) for channel in database.read(list_frozen))
        return Reconciled(
            found=tuple(collected.found),
            removed=tuple(collected.removed),
            frozen=tuple(database.read(list_frozen)),
            faults=(*collected.faults, *(fault for fault in faults if fault is not None)),
        )

    async def _meet(self, channel: ChannelId) -> Fault | None:
        """Have a channel's farmer show what it holds; a closed one needs nothing of it."""
        database, farmer = self._context.database, UNKNOWN
        try:
            account = database.read(lambda conn: load_account(conn, channel))
            farmer = account.farmer
            if account.channel.status is Status.CLOSED:
                await database.write(lambda conn: thaw(conn, channel))
            else:
                await self._accounts.reconciled(account)
        except (NodeError, PaymentError) as error:
            return to_fault(farmer, error)
        return None

    async def _top_up(self) -> ToppedUp:
        """Say what the last top-up came to, and begin the next: audits do not wait for its transaction."""
        if self._top_ups is None or (self._topping is not None and not self._topping.done()):
            return ToppedUp()
        ended, self._topping = self._topping, asyncio.create_task(self._top_ups.top_up())
        if ended is None:
            return ToppedUp()
        try:
            return ended.result()
        except (ChainError, SignerError) as error:
            return ToppedUp(trouble=str(error))

    async def _repair(self) -> tuple[RepairResult, ...]:
        """Say what was repaired since the last step, and look for more: audits do not wait for it."""
        if self._repair_cap is None:
            return ()
        if self._repairing is None or self._repairing.done():
            ended = self._repairing
            work = self._repairs.repair(cap=self._repair_cap, on_result=self._repaired.append)
            self._repairing = asyncio.create_task(work)
            if ended is not None:
                ended.result()
        told, self._repaired[:] = tuple(self._repaired), []
        return told

    async def run(
        self, stop: asyncio.Event, sleep: Sleep, on_tick: Callable[[TickReport], None]
    ) -> tuple[PaymentResult, ...]:
        """Step until `stop` is set, then hand over what is earned."""
        while not stop.is_set():
            report = await self.tick()
            on_tick(report)
            await _pause(stop, sleep, report.next_at - self._context.now())
        return await self._payments.pay_outstanding()

    async def close(self) -> None:
        """End what goes on beside the steps: the next run sends what is queued and repairs the rest."""
        await end([task for task in (self._topping, self._repairing) if task is not None])

    def _done_with(self) -> set[NodeId]:
        """Farmers that are owed something and store nothing that is to be audited any more."""
        now = self._context.now()
        shards = self._context.database.read(lambda conn: load_audited_shards(conn, now))
        audited = {shard.agreement.farmer for shard in shards}
        accounts = self._context.database.read(list_accounts)
        return {account.farmer for account in accounts if account.owes} - audited


async def _pause(stop: asyncio.Event, sleep: Sleep, seconds: float) -> None:
    """Sleep, or until stopped."""
    stopped = asyncio.create_task(stop.wait())
    slept = asyncio.ensure_future(sleep(max(0.0, seconds)))
    try:
        await asyncio.wait((stopped, slept), return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end([stopped])
        slept.cancel()
