"""One segment on its way back: enough verified shards, from whichever farmers give them first.

Of a whole segment k shards are needed and a twelfth more are asked for; the first k that are good are taken,
and the others are cancelled. What lies in fewer data shards is read from those alone. Whoever fails is
replaced at once, and so is whoever is stalled: half of what is needed has come, and a step takes three times
as long as steps do at present; or nothing at all comes from anybody. All of it is verified, step by step, by
the agreement's data root: who sends other bytes, or refuses a read that was paid, has lost the shard.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from node.audit import Outcome
from node.cipher import Mask
from node.db import Connection
from node.db.renter_peers import count_lapse
from node.db.renter_shards import ShardRecord, record_check
from node.errors import NodeError
from node.renter.accounts import AWAY, SERVER_FAULT, TRANSIENT, Accounts
from node.renter.context import Context
from node.renter.errors import FileUnavailable
from node.renter.faults import to_fault
from node.renter.money import active_account
from node.renter.pace import Pace
from node.renter.reads import Listener, Reads, WrongShard
from node.renter.reports import Fault, Trouble
from node.renter.window import Stripe, Window
from node.tasks import all_of, end
from node.transport import PeerRefused
from payments.errors import PaymentError
from payments.types import MIB, NodeId

SPARE: Final = 12
"""One farmer more is asked for every so many shards that are needed."""
QUIET_SECONDS: Final = 0.25
"""A pause without any bytes, after which more farmers are asked; each further one is twice as long."""


class Downloader:
    """Fetches segments of one file; what went wrong is told in `faults`."""

    def __init__(
        self,
        context: Context,
        accounts: Accounts,
        reads: Reads,
        pace: Pace,
        *,
        name: str,
        received: Callable[[int], None],
    ) -> None:
        self._context = context
        self._accounts = accounts
        self.reads = reads
        self.pace = pace
        self.name = name
        self.received = received
        self.faults: list[Fault] = []
        self._failed: set[NodeId] = set()

    def is_fit(self, shard: ShardRecord) -> bool:
        """Whether a shard is among the first to ask for: not lost, its farmer neither slow nor failing."""
        farmer = shard.agreement.farmer
        return not (shard.lost or farmer in self._failed or self.pace.is_slow(farmer))

    async def fetch(self, window: Window, candidates: Sequence[ShardRecord]) -> Window:
        """Fill a window; `candidates`: its segment's shards in the order in which to ask.

        Raises FileUnavailable.
        """
        await all_of(_Hunt(self, window, stripe, candidates).run() for stripe in window.stripes)
        return window

    def mask(self, window: Window, shard: ShardRecord) -> Mask:
        """What a shard is masked with."""
        key = self._context.keys.master.mask_key
        return Mask(key, window.segment.id, shard.index, shard.agreement.farmer)

    async def judge(self, shard: ShardRecord, error: NodeError | PaymentError) -> None:
        """Note what went wrong with a shard, and what follows from it."""
        farmer = shard.agreement.farmer
        self._failed.add(farmer)
        if isinstance(error, WrongShard):
            self.faults.append(Fault(farmer, Trouble.WRONG_DATA, str(error), error.code))
            await self._lost(shard)
            return
        self.faults.append(to_fault(farmer, error))
        if isinstance(error, PeerRefused):
            await self._refused(shard, error)

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


@dataclass(eq=False, slots=True)
class _Asked:
    """A shard that was asked for. began: when its present step was; stalled: others were asked instead."""

    shard: ShardRecord
    began: float
    stalled: bool = False
    task: "asyncio.Task[None]" = field(init=False)


class _Hunt:
    """The bytes of one stripe, from the farmers that are asked for them. goal: shards that are enough."""

    def __init__(
        self, downloader: Downloader, window: Window, stripe: Stripe, candidates: Sequence[ShardRecord]
    ) -> None:
        self._downloader = downloader
        self._window = window
        self._stripe = stripe
        self._good = window.found[stripe]
        self._queue = deque(candidates)
        self._goal = window.segment.k
        self._running: list[_Asked] = []
        self._failed: list[tuple[_Asked, NodeError | PaymentError]] = []
        self._crashed: list[Exception] = []
        self._news = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._heard = self._clock()
        self._quiet = QUIET_SECONDS

    async def run(self) -> None:
        """Fetch until what is wanted is there, or k shards are. Raises FileUnavailable."""
        self._begin()
        try:
            while not self._done():
                if not self._running:
                    raise self._unavailable()
                await self._wait()
                if self._crashed:
                    raise self._crashed[0]
                while self._failed:
                    asked, error = self._failed.pop()
                    await self._downloader.judge(asked.shard, error)
                    self._replace()
                self._replace_stalled()
        finally:
            for asked in self._running:
                if self._is_stalled(asked):
                    self._downloader.pace.blame(asked.shard.agreement.farmer)
            await end([asked.task for asked in self._running])

    def _begin(self) -> None:
        """Ask for the data shards alone where they are few, else for k and some more."""
        k, wanted = self._goal, self._stripe.wanted
        direct = [shard for shard in self._queue if shard.index in wanted and self._downloader.is_fit(shard)]
        if len(direct) == len(wanted) < k:
            self._goal = len(direct)
            self._queue = deque(shard for shard in self._queue if shard not in direct)
            self._queue.extendleft(reversed(direct))
            self._ask(self._goal)
            return
        self._ask(k)
        for _ in range(k // SPARE):
            if self._queue and self._downloader.is_fit(self._queue[0]):
                self._ask(1)

    def _ask(self, count: int) -> None:
        for _ in range(min(count, len(self._queue))):
            asked = _Asked(self._queue.popleft(), self._clock())
            asked.task = asyncio.create_task(self._fetch(asked))
            self._running.append(asked)

    async def _fetch(self, asked: _Asked) -> None:
        """Read the stripe from one farmer, step after step."""
        stripe, shard = self._stripe, asked.shard
        try:
            room = self._window.room(stripe, shard.index)
            mask = self._downloader.mask(self._window, shard)
            for start in range(0, stripe.length, MIB):
                offset, length = stripe.start + start, min(MIB, stripe.length - start)
                asked.began = self._clock()

                def take(data: memoryview, start: int = start, offset: int = offset) -> None:
                    mask.apply(data, room[start : start + len(data)], offset)
                    self._took(asked, len(data))
                    if start + len(data) == stripe.length:
                        self._finish(asked, room)

                await self._downloader.reads.step(shard, offset, length, Listener(self._hear, take))
        except (NodeError, PaymentError) as error:
            self._leave(asked)
            self._failed.append((asked, error))
        except Exception as error:  # noqa: BLE001 - raised where the hunt is awaited
            self._leave(asked)
            self._crashed.append(error)

    def _hear(self, _: int) -> None:
        self._heard = self._clock()

    def _took(self, asked: _Asked, count: int) -> None:
        """A verified step has come."""
        self._downloader.pace.note(asked.shard.agreement.farmer, self._clock() - asked.began)
        self._downloader.received(count)

    def _finish(self, asked: _Asked, room: memoryview) -> None:
        self._good[asked.shard.index] = room
        self._leave(asked)

    def _leave(self, asked: _Asked) -> None:
        if asked in self._running:
            self._running.remove(asked)
        self._news.set()

    def _done(self) -> bool:
        enough = len(self._good) >= self._window.segment.k
        return enough or all(index in self._good for index in self._stripe.wanted)

    async def _wait(self) -> None:
        """Wait until a farmer has finished or failed, or somebody may be stalled."""
        try:
            async with asyncio.timeout_at(self._due() if self._queue else None):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()

    def _due(self) -> float:
        """When somebody may be stalled."""
        patience = self._patience()
        begun = [asked.began for asked in self._running if not asked.stalled]
        if patience is None or not begun:
            return self._heard + self._quiet
        return min(begun) + patience

    def _patience(self) -> float | None:
        """How long a step may take; None while too few have come to tell."""
        return self._downloader.pace.patience if 2 * len(self._good) >= self._goal else None

    def _is_stalled(self, asked: _Asked) -> bool:
        patience = self._patience()
        return asked.stalled or (patience is not None and self._clock() >= asked.began + patience)

    def _replace(self) -> None:
        """Somebody has failed: ask one more, or for the code instead of the data shards."""
        k = self._window.segment.k
        if self._goal < k:
            self._goal = k
            self._ask(k - len(self._good) - len(self._running))
        else:
            self._ask(1)

    def _replace_stalled(self) -> None:
        """Ask as many more as are missing without those that are stalled; some more where all are silent."""
        now = self._clock()
        if self._patience() is not None:
            for asked in self._running:
                asked.stalled = self._is_stalled(asked)
            missing = self._goal - len(self._good) - sum(not asked.stalled for asked in self._running)
            if missing > 0:
                self._go_on(missing)
        if now >= self._heard + self._quiet:
            self._heard, self._quiet = now, 2 * self._quiet
            self._go_on(max(1, (self._goal - len(self._good)) // 4))

    def _go_on(self, count: int) -> None:
        """Ask for `count` more, or for the code instead of the data shards."""
        k = self._window.segment.k
        if self._goal < k:
            self._goal, count = k, k - len(self._good)
        self._ask(count)

    def _unavailable(self) -> FileUnavailable:
        segment = self._window.part.segment
        faults = tuple(self._downloader.faults)
        return FileUnavailable(
            self._downloader.name, segment, len(self._good), self._window.segment.k, faults
        )


def _refused_before(shard: ShardRecord, now: int) -> bool:
    """Whether a farmer was silent about a shard before, and has had an audit's window to change that."""
    return (
        shard.outcome is Outcome.TIMED_OUT
        and shard.checked_at is not None
        and now >= shard.checked_at + shard.agreement.response_deadline
    )
