"""One segment on its way back: k verified shards, from whichever farmers give them first.

A shard is read in steps of at most 1 MiB, each paid just before it, so a farmer can make off with one step.
When all bytes are here they must lead to the agreement's data root; a farmer that sends others, or refuses a
read that was paid, has lost the shard. k farmers are asked first; one more for every one that fails, and for
every pause in which nothing comes.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from node.audit import Outcome
from node.cipher import Mask
from node.db import Connection
from node.db.renter_peers import count_lapse
from node.db.renter_shards import ShardRecord, record_check
from node.errors import CheckFailed, NodeError, short
from node.manifest import Segment
from node.merkle import build_tree
from node.messages import ReadShard, SignedVoucherMessage
from node.renter.accounts import AWAY, TRANSIENT, Accounts, agreement_path
from node.renter.context import Context
from node.renter.errors import FileUnavailable
from node.renter.faults import to_fault
from node.renter.money import active_account
from node.renter.reports import Fault, Trouble
from node.tasks import end
from node.transport import PeerRefused
from payments.errors import PaymentError
from payments.prices import read_price
from payments.types import MIB

HEDGE_SECONDS: Final = 3.0
"""A pause without any bytes, after which one more farmer is asked."""
TRIES: Final = 3
"""Times a step is paid and asked for, while objections about money can be removed."""
SERVER_FAULT: Final = 500


@dataclass(eq=False)
class WrongShard(CheckFailed):
    """The bytes that a farmer sent are not those of the agreement."""

    farmer: bytes
    data_root: bytes
    expected: bytes

    def __str__(self) -> str:
        return f"its bytes have root {short(self.data_root)}, agreed was {short(self.expected)}"


@dataclass(frozen=True, slots=True)
class Found:
    """Shards of a segment by index, unmasked, enough to decode it."""

    segment: Segment
    shards: dict[int, memoryview]


class Downloader:
    """Fetches the segments of one file; what went wrong is told in `faults`, what was paid in `paid`."""

    def __init__(
        self, context: Context, accounts: Accounts, name: str, received: Callable[[int], None]
    ) -> None:
        self._context = context
        self._accounts = accounts
        self._name = name
        self._received = received
        self._steps = 0
        self.faults: list[Fault] = []
        self.paid = 0

    async def fetch(self, number: int, segment: Segment, candidates: Sequence[ShardRecord]) -> Found:
        """Return k good shards; `candidates` in the order in which to ask. Raises FileUnavailable."""
        queue = deque(candidates)
        good: dict[int, memoryview] = {}
        running: dict[asyncio.Task[memoryview], ShardRecord] = {}

        def ask_one_more() -> None:
            if queue:
                shard = queue.popleft()
                running[asyncio.create_task(self._shard(segment, shard))] = shard

        try:
            for _ in range(segment.k):
                ask_one_more()
            while len(good) < segment.k:
                if not running:
                    raise FileUnavailable(self._name, number, len(good), segment.k, tuple(self.faults))
                steps = self._steps
                done, _ = await asyncio.wait(
                    running, timeout=HEDGE_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                if not done and steps == self._steps:
                    ask_one_more()
                for task in done:
                    shard = running.pop(task)
                    found = await self._outcome(task, shard)
                    if found is None:
                        ask_one_more()
                    else:
                        good[shard.index] = found
        finally:
            await end(running)
        return Found(segment, good)

    async def _outcome(self, task: "asyncio.Task[memoryview]", shard: ShardRecord) -> memoryview | None:
        """Return the shard, or note what went wrong with it."""
        farmer = shard.agreement.farmer
        try:
            return task.result()
        except WrongShard as error:
            self.faults.append(Fault(farmer, Trouble.WRONG_DATA, str(error), error.code))
            await self._lost(shard)
        except PeerRefused as error:
            self.faults.append(to_fault(farmer, error))
            await self._refused(shard, error)
        except (NodeError, PaymentError) as error:
            self.faults.append(to_fault(farmer, error))
        return None

    async def _refused(self, shard: ShardRecord, refusal: PeerRefused) -> None:
        """Judge a refused read: what may pass counts as a try first, and as a lost shard after a window."""
        farmer, now = shard.agreement.farmer, self._context.now()
        account = self._context.database.read(lambda conn: active_account(conn, farmer))
        if account is None or refusal.error in AWAY or self._accounts.ours(account, refusal):
            return
        passing = refusal.error in TRANSIENT or refusal.status >= SERVER_FAULT
        if not passing or _refused_before(shard, now):
            await self._lost(shard)
        elif shard.outcome is not Outcome.TIMED_OUT:
            await self._context.database.write(
                lambda conn: record_check(conn, shard.agreement_id, Outcome.TIMED_OUT, now)
            )

    async def _lost(self, shard: ShardRecord) -> None:
        """Write down that a farmer has failed: the shard earns nothing further."""
        now, terms = self._context.now(), shard.agreement
        if now >= terms.end:
            return

        def work(conn: Connection) -> None:
            record_check(conn, shard.agreement_id, Outcome.FAILED, now)
            count_lapse(conn, terms.farmer, passed=False)

        await self._context.database.write(work)

    async def _shard(self, segment: Segment, shard: ShardRecord) -> memoryview:
        """Read one whole shard, verify and unmask it."""
        terms = shard.agreement
        data = bytearray(terms.shard_length)
        for offset in range(0, len(data), MIB):
            part = await self._step(shard, offset, min(MIB, len(data) - offset))
            data[offset : offset + len(part)] = part
            self._steps += 1
            self._received(len(part))
        mask = Mask(self._context.keys.master.mask_key, segment.id, shard.index, terms.farmer)
        return await asyncio.to_thread(_open, data, shard, mask)

    async def _step(self, shard: ShardRecord, offset: int, length: int) -> bytes:
        """Pay for one step and read it, alone in its channel."""
        terms = shard.agreement
        price = read_price(terms.download_price, length)
        account = await self._accounts.ready(terms.farmer)
        target = self._accounts.target(terms.farmer)
        path = agreement_path(shard.agreement_id, "read")
        async with self._context.locks.hold(account.channel.id):
            for tries_left in reversed(range(TRIES)):
                payment = await self._accounts.issue_read(account.channel.id, price)
                voucher = SignedVoucherMessage.of(payment.voucher)
                message = ReadShard(offset=offset, length=length, payment=voucher)
                try:
                    part = await self._context.transport.read(target, path, message, length)
                except PeerRefused as refusal:
                    if not tries_left or not await self._accounts.mend(account, refusal):
                        raise
                    if payment.added and self._accounts.holds(payment):
                        raise  # it took this very payment, and gives nothing for it
                else:
                    rise = await self._accounts.record_read(payment)
                    self.paid += rise
                    return part
        raise AssertionError


def _refused_before(shard: ShardRecord, now: int) -> bool:
    """Whether a farmer was silent about a shard before, and has had an audit's window to change that."""
    return (
        shard.outcome is Outcome.TIMED_OUT
        and shard.checked_at is not None
        and now >= shard.checked_at + shard.agreement.response_deadline
    )


def _open(data: bytearray, shard: ShardRecord, mask: Mask) -> memoryview:
    root = build_tree(data).root
    if root != shard.agreement.data_root:
        raise WrongShard(shard.agreement.farmer, root, shard.agreement.data_root)
    return mask.apply(data, into=data)
