"""The outbox: transactions that will happen, whatever happens to this process.

A wish is stored; then its nonce and raw bytes are stored; only then it is broadcast. After a crash `tick`
sends what the node does not know. What is stuck is signed again under the same nonce with a higher fee, up
to a ceiling. Every attempt is kept until the chain says which one was mined, at confirmation depth. Without
gas money, or above the ceiling, the wish waits. One program per key: a nonce used elsewhere is noticed, not
mended.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Final

from payments.types import Address
from payments.vouchers import SigningKey
from settlement import outbox_store as store
from settlement.client import Call, Chain
from settlement.database import Database
from settlement.errors import (
    ChainError,
    ChainUnreachable,
    FeeAboveCeiling,
    NodeRefused,
    Reverted,
    TransactionFailed,
    TransactionPending,
    TransactionReplaced,
)
from settlement.outbox_store import Attempt, Phase, Queued
from settlement.rpc import Fees, Receipt
from settlement.transactions import MAX_TRANSACTION_GAS, Transaction, check_funds, sign_transaction

GWEI: Final = 10**9
DEFAULT_CEILING: Final = 300 * GWEI
STUCK_SECONDS: Final = 60.0
"""An attempt that is not mined after this is signed again with a higher fee."""
FOREIGN_SECONDS: Final = 5.0
"""A nonce mined without one of our receipts this long was used by somebody else; nodes may index late."""
LOCAL_POLL_SECONDS: Final = 0.1
POLL_SECONDS: Final = 2.0
WAIT_SECONDS: Final = 120.0
"""How long to wait until a transaction is mined; on a local chain until it is confirmed too."""
BLOCK_SECONDS: Final = 15
"""What to wait for each block of confirmation on other chains; Ethereum takes 12 s."""


class Outbox:
    """Durable sending on one chain. `ceiling`: the most wei a unit of gas may cost."""

    def __init__(
        self,
        database: Database,
        chain: Chain,
        *,
        ceiling: int = DEFAULT_CEILING,
        stuck_seconds: float = STUCK_SECONDS,
        foreign_seconds: float = FOREIGN_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._chain = chain
        self._ceiling = ceiling
        self._stuck_seconds = stuck_seconds
        self._foreign_seconds = foreign_seconds
        self._clock = clock
        self._keys: dict[Address, SigningKey] = {}
        self._lock = asyncio.Lock()
        self._waiting: dict[int, ChainError] = {}
        self._suspects: dict[int, float] = {}

    async def submit(self, purpose: str, call: Call, key: SigningKey) -> int:
        """Queue a call and try to send it; its id, or that of the same call open for the same purpose.

        Raises Reverted where the contract refuses it now. Without gas money, above the fee ceiling or without
        a chain it stays queued, and `wait` says so.
        """
        self._keys[key.address] = key
        async with self._lock:
            queued = await self._database.write(lambda conn: store.add_wish(conn, purpose, key.address, call))
            if queued.phase is Phase.QUEUED:
                with contextlib.suppress(ChainUnreachable):
                    await self._send(queued)
        return queued.id

    async def wait(
        self, queued_id: int, seconds: float | None = None, *, depth: int | None = None
    ) -> Receipt:
        """Wait for the receipt at confirmation depth, or at `depth`: 1 is mined, enough for the next call.

        Raises TransactionFailed, -Replaced or Reverted; TransactionPending after `seconds` (None: what the
        depth takes), and at once OutOfGasMoney or FeeAboveCeiling: then it is still queued.
        """
        wanted = min(depth or self._chain.deployment.confirmations, self._chain.deployment.confirmations)
        patience = self._patience(wanted) if seconds is None else seconds
        deadline = time.monotonic() + patience
        while True:
            unreachable: ChainUnreachable | None = None
            try:
                await self.tick()
                receipt = await self._outcome(queued_id, wanted)
            except ChainUnreachable as err:
                receipt, unreachable = None, err
            if receipt is not None:
                return receipt
            if time.monotonic() >= deadline:
                raise unreachable or TransactionPending(await self._last_hash(queued_id), patience)
            await asyncio.sleep(LOCAL_POLL_SECONDS if self._chain.deployment.local else POLL_SECONDS)

    async def resume(self, keys: Iterable[SigningKey]) -> list[Queued]:
        """After a start: give the keys back and send what is open; what still is."""
        self._keys |= {key.address: key for key in keys}
        await self.tick()
        return self.open()

    def was_used(self) -> bool:
        """Whether there is anything to look after: what was done a reorganisation may have undone."""
        return self._database.read(store.has_any)

    def open(self) -> list[Queued]:
        """List what is not done yet, oldest first, with the reason it waits."""
        return self._database.read(store.list_open)

    async def tick(self) -> None:
        """Bring every open transaction one step further; call it at every block. Raises ChainUnreachable."""
        async with self._lock:
            known = self._database.read(store.list_open)
            for sender in {queued.sender for queued in known} | set(self._keys):
                await self._reopen(sender)
            for queued in self._database.read(store.list_open):
                if queued.phase is Phase.SENT:
                    await self._follow(queued)
                else:
                    with contextlib.suppress(Reverted):  # kept as its problem
                        await self._send(queued)

    async def _send(self, queued: Queued) -> None:
        """Give a wish its nonce and signature, store them, broadcast."""
        key = self._keys.get(queued.sender)
        if key is None:
            return
        rpc = self._chain.rpc
        try:
            needed = await self._chain.simulate(queued.call, queued.sender)
            gas = min(needed + needed // 5, max(needed, MAX_TRANSACTION_GAS))
            fees = self._affordable(await rpc.fees())
            await check_funds(rpc, queued.sender, gas * fees.cap + queued.call.value)
        except Reverted as err:
            failed = replace(queued, phase=Phase.REVERTED, problem=str(err))
            await self._database.write(lambda conn: store.update_queued(conn, failed))
            raise
        except ChainError as err:
            await self._postpone(queued, err)
            return
        pending = await rpc.nonce(queued.sender, "pending")
        nonce = max(pending, self._database.read(lambda conn: store.next_nonce(conn, queued.sender)))
        await self._sign_and_broadcast(replace(queued, gas=gas, nonce=nonce), fees, key)

    async def _follow(self, queued: Queued) -> None:
        """See whether a sent transaction was mined; otherwise send it again, dearer when it is stuck."""
        rpc, nonce = self._chain.rpc, queued.nonce
        attempts = self._database.read(lambda conn: store.list_attempts(conn, queued))
        if nonce is not None and nonce < await rpc.nonce(queued.sender):
            await self._conclude(queued, attempts)
            return
        last = attempts[-1]
        key = self._keys.get(queued.sender)
        if self._clock() - last.signed_at >= self._stuck_seconds and key is not None:
            try:
                fees = self._raised(last.fees, await rpc.fees())
                await check_funds(rpc, queued.sender, queued.gas * fees.cap + queued.call.value)
            except ChainError as err:
                await self._postpone(queued, err)
            else:
                await self._sign_and_broadcast(queued, fees, key)
                return
        if not await rpc.knows(last.signed.hash):
            await self._broadcast(last.signed.raw)

    async def _conclude(self, queued: Queued, attempts: list[Attempt]) -> None:
        """Find out which attempt used the nonce, whether deep enough, and with what success."""
        head = await self._chain.head()
        for attempt in attempts:
            receipt = await self._chain.rpc.receipt(attempt.signed.hash)
            if receipt is None:
                continue
            if head.number - receipt.block_number + 1 >= self._chain.deployment.confirmations:
                phase = Phase.DONE if receipt.succeeded else Phase.REVERTED
                await self._end(replace(queued, phase=phase, final=receipt.transaction))
            return
        depth = self._chain.deployment.confirmations - 1
        confirmed = await self._chain.rpc.nonce(queued.sender, max(0, head.number - depth))
        first_seen = self._suspects.setdefault(queued.id, time.monotonic())
        foreign = time.monotonic() - first_seen >= self._foreign_seconds
        if queued.nonce is not None and confirmed > queued.nonce and foreign:
            await self._end(replace(queued, phase=Phase.REPLACED))

    async def _reopen(self, sender: Address) -> None:
        """What a reorganisation threw out of the chain is open again."""
        mined = await self._chain.rpc.nonce(sender)
        for queued in self._database.read(lambda conn: store.list_undone(conn, sender, mined)):
            again = replace(queued, phase=Phase.SENT, final=None)
            await self._database.write(partial(store.update_queued, queued=again))

    async def _sign_and_broadcast(self, queued: Queued, fees: Fees, key: SigningKey) -> None:
        """Store first, speak then: the only place where transactions are signed for this chain."""
        if queued.nonce is None:
            raise ValueError("a transaction is signed with a nonce")
        transaction = Transaction(
            chain_id=self._chain.deployment.chain_id,
            nonce=queued.nonce,
            to=queued.call.to,
            data=queued.call.data,
            value=queued.call.value,
            gas=queued.gas,
            fees=fees,
        )
        attempt = Attempt(sign_transaction(transaction, key), fees, int(self._clock()))
        await self._database.write(lambda conn: store.add_attempt(conn, queued, attempt))
        self._waiting.pop(queued.id, None)
        await self._broadcast(attempt.signed.raw)

    async def _broadcast(self, raw: bytes) -> None:
        """Hand raw bytes to the node; whether a refusal ("known", "nonce too low") matters the chain says."""
        with contextlib.suppress(NodeRefused):
            await self._chain.rpc.send_raw(raw)

    async def _postpone(self, queued: Queued, reason: ChainError) -> None:
        """Keep a transaction queued with the reason; a chain without answer is the caller's to report."""
        self._waiting[queued.id] = reason
        if queued.problem != str(reason):
            waiting = replace(queued, problem=str(reason))
            await self._database.write(lambda conn: store.update_queued(conn, waiting))
        if isinstance(reason, ChainUnreachable):
            raise reason

    async def _end(self, queued: Queued) -> None:
        self._suspects.pop(queued.id, None)
        self._waiting.pop(queued.id, None)
        await self._database.write(lambda conn: store.update_queued(conn, queued))

    def _patience(self, depth: int) -> float:
        return WAIT_SECONDS + (0 if self._chain.deployment.local else depth * BLOCK_SECONDS)

    async def _outcome(self, queued_id: int, depth: int) -> Receipt | None:
        queued = self._database.read(lambda conn: store.load_queued(conn, queued_id))
        if queued.phase is Phase.REPLACED:
            raise TransactionReplaced(queued.sender, queued.nonce or 0)
        if queued.phase is Phase.REVERTED:
            raise Reverted(queued.problem) if queued.final is None else TransactionFailed(queued.final)
        if queued.phase is Phase.DONE and queued.final is not None:
            return await self._chain.rpc.receipt(queued.final)
        if queued.phase is Phase.SENT and depth < self._chain.deployment.confirmations:
            receipt = await self._mined(queued, depth)
            if receipt is not None:
                return receipt
        reason = self._waiting.get(queued_id)
        if reason is not None and not isinstance(reason, ChainUnreachable):
            raise reason
        return None

    async def _mined(self, queued: Queued, depth: int) -> Receipt | None:
        """Find the attempt that lies this deep, though not deep enough to be done with it."""
        head = await self._chain.head()
        for attempt in self._database.read(lambda conn: store.list_attempts(conn, queued)):
            receipt = await self._chain.rpc.receipt(attempt.signed.hash)
            if receipt is not None and head.number - receipt.block_number + 1 >= depth:
                if not receipt.succeeded:
                    raise TransactionFailed(receipt.transaction)
                return receipt
        return None

    async def _last_hash(self, queued_id: int) -> bytes:
        queued = self._database.read(lambda conn: store.load_queued(conn, queued_id))
        attempts = self._database.read(lambda conn: store.list_attempts(conn, queued))
        return attempts[-1].signed.hash if attempts else b""

    def _affordable(self, fees: Fees) -> Fees:
        if fees.now > self._ceiling:
            raise FeeAboveCeiling(fees.now, self._ceiling)
        return replace(fees, cap=min(fees.cap, self._ceiling))

    def _raised(self, last: Fees, current: Fees) -> Fees:
        """At least an eighth above the last attempt (pools want a tenth), within the ceiling."""
        cap = max(last.cap + last.cap // 8 + 1, current.cap)
        if cap > self._ceiling:
            raise FeeAboveCeiling(cap, self._ceiling)
        if last.priority is None:
            return Fees(cap, None)
        priority = max(last.priority + last.priority // 8 + 1, current.priority or 0)
        return Fees(cap, min(priority, cap))
