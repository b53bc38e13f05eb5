"""The outbox: transactions that will happen, whatever happens to this process.

A wish is stored; then its nonce and raw bytes are stored; only then it is broadcast. After a crash `tick`
sends what the node does not know. What is stuck is signed again under the same nonce with a higher fee, up
to a ceiling; what is cancelled, or what no node will ever take, becomes an empty transfer under that nonce.
Every attempt is kept until the chain says which one was mined, at confirmation depth. Without gas money,
above the ceiling, or refused by every node, the wish waits, and says why. A nonce somebody else used sends
the wish again under a new one, unless what used it was the same call.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Final

from payments.types import Address
from payments.vouchers import SigningKey
from settlement import outbox_store as store
from settlement import verdicts
from settlement.calls import Call
from settlement.client import Chain
from settlement.database import Database
from settlement.deployment import DEPTH, Deployment
from settlement.errors import (
    ChainError,
    ChainUnreachable,
    FeeAboveCeiling,
    NodeRefused,
    OutOfGasMoney,
    Reverted,
    SettlementError,
    SignerError,
    SignerUnreachable,
    TransactionCancelled,
    TransactionFailed,
    TransactionPending,
    TransactionReplaced,
    TransactionTooLarge,
)
from settlement.fees import DEFAULT_CEILING, Fees, affordable, raised
from settlement.outbox_store import Attempt, Phase, Queued, empty_transfer
from settlement.refusals import FeeCap, Refusal, read_refusal
from settlement.rpc import Receipt
from settlement.transactions import (
    MAX_TRANSACTION_GAS,
    TRANSFER_GAS,
    Transaction,
    check_funds,
    check_size,
    sign_beside,
)

__all__ = ["DEFAULT_CEILING", "Outbox"]

STUCK_SECONDS: Final = 60.0
"""An attempt that is not mined after this is signed again with a higher fee; see `stuck_after`."""
RAISES: Final = 10
"""How often a fee can be raised at least while a channel closes."""
ASK_AGAIN_SECONDS: Final = 600.0
"""A signer elsewhere that has not signed a higher fee is left in peace for so long."""
FOREIGN_SECONDS: Final = 5.0
"""A nonce mined without one of our receipts this long was used by somebody else; nodes may index late."""
LOCAL_POLL_SECONDS: Final = 0.1
POLL_SECONDS: Final = 2.0
WAIT_SECONDS: Final = 120.0
"""How long to wait until a transaction is mined; on a local chain until it is confirmed too."""
BLOCK_SECONDS: Final = 15
"""What to wait for each block of confirmation on other chains; Ethereum takes 12 s."""
FINAL_SECONDS: Final = 1_200
"""What to wait where the chain itself says what is final; Ethereum takes up to 19 minutes."""
SENT: Final = (Phase.SENT, Phase.CANCELLING)

log = logging.getLogger("tithebarn.chain")


class Outbox:
    """Durable sending on one chain. `ceiling`: the most wei a unit of gas may cost."""

    def __init__(
        self,
        database: Database,
        chain: Chain,
        *,
        ceiling: int = DEFAULT_CEILING,
        stuck_seconds: float | None = None,
        foreign_seconds: float = FOREIGN_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._chain = chain
        self._ceiling = ceiling
        self._stuck_seconds = stuck_after(chain.deployment) if stuck_seconds is None else stuck_seconds
        self._foreign_seconds = foreign_seconds
        self._clock = clock
        self._keys: dict[Address, SigningKey] = {}
        self._lock = asyncio.Lock()
        self._waiting: dict[int, SettlementError] = {}
        self._unsigned_at: dict[int, float] = {}
        self._suspects: dict[int, float] = {}
        self._cap = FeeCap()
        self._too_dear: set[bytes] = set()
        self._never_since: dict[int, float] = {}

    async def submit(self, purpose: str, call: Call, key: SigningKey) -> int:
        """Queue a call and try to send it; its id, or that of the same call open for the same purpose.

        Raises Reverted where the contract refuses it now, TransactionTooLarge where every chain would,
        SignerError where the key's owner does. Without gas money, above the fee ceiling, without a chain or
        an answer of the signer it stays queued, and `wait` says so. One that is being cancelled is wanted
        again.
        """
        self._keys[key.address] = key
        async with self._lock:
            now = int(self._clock())
            queued = await self._database.write(
                lambda conn: store.add_wish(conn, purpose, key.address, call, now)
            )
            with contextlib.suppress(ChainUnreachable):
                if queued.phase is Phase.QUEUED:
                    await self._send(queued)
                elif queued.phase is Phase.CANCELLING:
                    await self._turn(queued, Phase.SENT)
        return queued.id

    async def cancel(self, queued_id: int) -> Phase:
        """Give a transaction up; what it is then. KeyError where there is none.

        One that was never signed is CANCELLED. A sent one is CANCELLING: an empty transfer with a higher fee
        competes for its nonce, and the chain decides: `wait` raises TransactionCancelled, or returns the
        receipt of what was mined all the same. One that has ended stays as it is.
        """
        async with self._lock:
            queued = self._database.read(lambda conn: store.load_queued(conn, queued_id))
            if queued.phase is Phase.QUEUED:
                await self._end(replace(queued, phase=Phase.CANCELLED))
            elif queued.phase is Phase.SENT:
                with contextlib.suppress(ChainUnreachable):
                    await self._turn(queued, Phase.CANCELLING)
        return self._database.read(lambda conn: store.load_queued(conn, queued_id)).phase

    async def wait(
        self, queued_id: int, seconds: float | None = None, *, depth: int | None = None
    ) -> Receipt:
        """Wait for the receipt at confirmation depth, or at `depth`: 1 is mined, enough for the next call.

        Raises TransactionFailed, -Replaced, -Cancelled or Reverted; TransactionPending after `seconds` (None:
        what the depth takes), or NodeRefused where nodes refuse it; at once OutOfGasMoney or FeeAboveCeiling:
        then it is still queued.
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
                pending = TransactionPending(await self._last_hash(queued_id), patience)
                raise unreachable or self._refusal(queued_id) or pending
            await asyncio.sleep(LOCAL_POLL_SECONDS if self._chain.deployment.local else POLL_SECONDS)

    async def resume(self, keys: Iterable[SigningKey]) -> list[Queued]:
        """After a start: give the keys back and send what is open; what still is."""
        self.hold(keys)
        await self.tick()
        return self.open()

    def hold(self, keys: Iterable[SigningKey]) -> None:
        """Give keys back; the next `tick` sends with them."""
        self._keys |= {key.address: key for key in keys}

    def set_ceiling(self, ceiling: int) -> None:
        """Change what a unit of gas may cost, of all that is open: what has the next nonce must go first."""
        self._ceiling = ceiling

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
                await self._fill_gaps(sender)
            for queued in self._database.read(store.list_open):
                if queued.phase in SENT:
                    await self._follow(queued)
                else:
                    with contextlib.suppress(
                        Reverted, TransactionTooLarge, SignerError
                    ):  # kept as its problem
                        await self._send(queued)

    async def _send(self, queued: Queued) -> None:
        """Give a wish its nonce, unless it is there to fill one, and signature, store them, broadcast."""
        key = self._keys.get(queued.sender)
        if key is None:
            return
        rpc = self._chain.rpc
        try:
            check_size(queued.call.data)
            needed = await self._chain.simulate(queued.call, queued.sender)
            check_size(queued.call.data, needed)
            gas = min(needed + needed // 5, MAX_TRANSACTION_GAS)
            fees = affordable(await rpc.fees(), self._cap.room(gas, self._ceiling))
            await check_funds(rpc, queued.sender, gas * fees.cap + queued.call.value)
        except Reverted as err:
            await self._end(replace(queued, phase=Phase.REVERTED, problem=str(err)))
            raise
        except TransactionTooLarge as err:
            await self._end(replace(queued, phase=Phase.CANCELLED, problem=str(err)))
            raise
        except ChainError as err:
            await self._postpone(queued, self._cap.explain(err, self._ceiling))
            return
        nonce = queued.nonce
        if nonce is None:
            pending = await rpc.nonce(queued.sender, "pending")
            nonce = max(pending, self._database.read(lambda conn: store.next_nonce(conn, queued.sender)))
        await self._sign_and_broadcast(replace(queued, gas=gas, nonce=nonce), fees, key)

    async def _follow(self, queued: Queued) -> None:
        """See whether a sent transaction was mined; otherwise send it again, dearer when it is stuck."""
        rpc, nonce = self._chain.rpc, queued.nonce
        attempts = self._attempts(queued)
        if nonce is not None and nonce < await rpc.nonce(queued.sender):
            await self._conclude(queued, attempts)
            return
        last = attempts[-1]
        turned = last.cancels != (queued.phase is Phase.CANCELLING)
        now, asked = self._clock(), self._unsigned_at.get(queued.id)
        due = turned or now - last.signed_at >= self._stuck_seconds
        due = due and (asked is None or now - asked >= ASK_AGAIN_SECONDS)
        key = self._keys.get(queued.sender)
        if due and key is not None:
            try:
                fees = await self._next_fees(queued, attempts)
                await check_funds(rpc, queued.sender, _cost(queued, fees))
            except ChainError as err:
                await self._postpone(queued, self._cap.explain(err, self._ceiling))
                self._cap = FeeCap()  # its owner may have raised it: the next attempt asks again
            else:
                await self._sign_and_broadcast(queued, fees, key)
                return
        if not turned and not await rpc.knows(last.signed.hash):  # what is unwanted is not sent again
            await self._broadcast(queued, last)
        elif queued.problem and not due:
            await self._resumed(queued)

    async def _next_fees(self, queued: Queued, attempts: list[Attempt]) -> Fees:
        """Above those of the last attempt that a node may have; what all found too dear replaces nothing.

        Nor does what no node takes by what is known now: a program before this one may have offered it.

        Raises FeeAboveCeiling.
        """
        current = await self._chain.rpc.fees()
        room = self._cap.room(_gas(queued), self._ceiling)
        held = [
            attempt
            for attempt in attempts
            if attempt.signed.hash not in self._too_dear and self._cap.takes(_gas(queued), attempt.fees.cap)
        ]
        return raised(held[-1].fees, current, room) if held else affordable(current, room)

    async def _turn(self, queued: Queued, phase: Phase) -> None:
        """Cancel what was sent, or want it again: stored first, so that a restart goes on with it."""
        turned = replace(queued, phase=phase)
        await self._database.write(lambda conn: store.update_queued(conn, turned))
        await self._follow(turned)

    async def _conclude(self, queued: Queued, attempts: list[Attempt]) -> None:
        """Find out which attempt used the nonce, whether deep enough, and with what success."""
        final = await self._chain.final(await self._chain.head())
        for attempt in reversed(attempts):
            receipt = await verdicts.find_receipt(self._chain.rpc, attempt.signed.hash)
            if receipt is None:
                continue
            if receipt.block_number <= final:
                await self._end(verdicts.end(queued, attempt, receipt))
            return
        confirmed = await self._chain.rpc.nonce(queued.sender, max(0, final))
        first_seen = self._suspects.setdefault(queued.id, time.monotonic())
        foreign = time.monotonic() - first_seen >= self._foreign_seconds
        if queued.nonce is not None and confirmed > queued.nonce and foreign:
            await self._end(await verdicts.displace(self._chain.rpc, queued, queued.nonce, final))

    async def _reopen(self, sender: Address) -> None:
        """What a reorganisation threw out of the chain is open again."""
        mined = await self._chain.rpc.nonce(sender)
        for queued in self._database.read(lambda conn: store.list_undone(conn, sender, mined)):
            phase = Phase.CANCELLING if queued.phase is Phase.CANCELLED else Phase.SENT
            again = replace(queued, phase=phase, final=None)
            await self._database.write(partial(store.update_queued, queued=again))

    async def _fill_gaps(self, sender: Address) -> None:
        """Queue an empty transfer for each nonce below one of ours that nothing uses: it would block ours.

        One that was used meanwhile needs no filling any more.
        """
        own = [queued for queued in self.open() if queued.sender == sender and queued.nonce is not None]
        if not own:
            return
        mined = await self._chain.rpc.nonce(sender)
        for filler in own:
            if filler.phase is Phase.QUEUED and filler.nonce is not None and filler.nonce < mined:
                await self._end(replace(filler, phase=Phase.CANCELLED))
        held = {queued.nonce for queued in own if queued.nonce is not None}
        missing = set(range(mined, max(held))) - held
        pending = await self._chain.rpc.nonce(sender, "pending") if missing else 0
        for nonce in sorted(nonce for nonce in missing if nonce >= pending):
            now = int(self._clock())
            await self._database.write(partial(store.add_filler, sender=sender, nonce=nonce, now=now))

    async def _sign_and_broadcast(self, queued: Queued, fees: Fees, key: SigningKey) -> None:
        """Store first, speak then: the only place where transactions are signed for this chain."""
        if queued.nonce is None:
            raise ValueError("a transaction is signed with a nonce")
        cancels = queued.phase is Phase.CANCELLING
        call = empty_transfer(queued.sender) if cancels else queued.call
        transaction = Transaction(
            chain_id=self._chain.deployment.chain_id,
            nonce=queued.nonce,
            to=call.to,
            data=call.data,
            value=call.value,
            gas=TRANSFER_GAS if cancels else queued.gas,
            fees=fees,
        )
        try:
            signed = await sign_beside(transaction, key)
        except SignerError as err:
            await self._unsigned(queued, err)
            return
        attempt = Attempt(signed, fees, int(self._clock()), cancels)
        sent = await self._database.write(lambda conn: store.add_attempt(conn, queued, attempt))
        self._waiting.pop(queued.id, None)
        if sent is not None:  # else the next tick sees what somebody else has done
            await self._broadcast(sent, attempt)

    async def _unsigned(self, queued: Queued, reason: SignerError) -> None:
        """A signer elsewhere has not signed: what its owner refused, and nobody has seen, is given up."""
        self._unsigned_at[queued.id] = self._clock()
        if queued.phase is Phase.QUEUED and not isinstance(reason, SignerUnreachable):
            await self._end(replace(queued, phase=Phase.CANCELLED, nonce=None, problem=str(reason)))
            raise reason
        await self._postpone(queued, reason)

    async def _broadcast(self, queued: Queued, attempt: Attempt) -> None:
        """Hand raw bytes to the node; what it refuses is its problem from then on, until it is taken."""
        try:
            await self._chain.rpc.send_raw(attempt.signed.raw)
        except NodeRefused as err:
            await self._refused(queued, attempt, err)
        else:
            self._never_since.pop(queued.id, None)
            if queued.problem and queued.phase is Phase.SENT:
                await self._resumed(queued)

    async def _refused(self, queued: Queued, attempt: Attempt, refusal: NodeRefused) -> None:
        """Do what a refusal asks for: nothing, money, a lower fee, another use of the nonce, or patience."""
        meaning = read_refusal(refusal)
        if meaning is Refusal.SEEN:
            return
        try:
            await check_funds(self._chain.rpc, queued.sender, _cost(queued, attempt.fees))
        except OutOfGasMoney as err:
            await self._postpone(queued, err)
            return
        if meaning is Refusal.NEVER and queued.phase is Phase.SENT and self._hopeless(queued):
            log.warning("transaction_given_up purpose=%s reason=%s", queued.purpose, refusal)
            await self._turn(replace(queued, problem=str(refusal)), Phase.CANCELLING)
            return
        if meaning is Refusal.FEE_CAP and await self._sign_cheaper(queued, attempt, refusal):
            return
        if isinstance(self._waiting.get(queued.id, refusal), NodeRefused):  # else we know better why it waits
            await self._postpone(queued, refusal)

    def _hopeless(self, queued: Queued) -> bool:
        """Whether nodes have said never for so long that it is no passing mood of theirs."""
        since = self._never_since.setdefault(queued.id, self._clock())
        return self._clock() - since >= self._stuck_seconds

    async def _sign_cheaper(self, queued: Queued, attempt: Attempt, refusal: NodeRefused) -> bool:
        """Sign again within what a transaction may cost here; False where the chain asks for more."""
        self._cap.learn(refusal, _gas(queued) * attempt.fees.cap)
        self._too_dear.add(attempt.signed.hash)
        key = self._keys.get(queued.sender)
        try:
            fees = await self._next_fees(queued, self._attempts(queued))
        except FeeAboveCeiling:
            return False
        if key is None or fees.cap >= attempt.fees.cap:
            return False
        await self._sign_and_broadcast(queued, fees, key)
        return True

    async def _postpone(self, queued: Queued, reason: SettlementError) -> None:
        """Keep a transaction queued with the reason; a chain without answer is the caller's to report."""
        self._waiting[queued.id] = reason
        if queued.problem != str(reason):
            await self._database.write(lambda conn: store.note_problem(conn, queued, str(reason)))
        if isinstance(reason, ChainUnreachable):
            raise reason

    async def _resumed(self, queued: Queued) -> None:
        """Forget why it waited."""
        self._waiting.pop(queued.id, None)
        await self._database.write(lambda conn: store.note_problem(conn, queued, ""))

    async def _end(self, queued: Queued) -> None:
        self._suspects.pop(queued.id, None)
        self._never_since.pop(queued.id, None)
        self._waiting.pop(queued.id, None)
        await self._database.write(lambda conn: store.update_queued(conn, queued))

    def _patience(self, depth: int) -> float:
        record = self._chain.deployment
        if record.finality != DEPTH and depth == record.confirmations:
            return WAIT_SECONDS + FINAL_SECONDS
        return WAIT_SECONDS + (0 if record.local else depth * BLOCK_SECONDS)

    async def _outcome(self, queued_id: int, depth: int) -> Receipt | None:
        queued = self._database.read(lambda conn: store.load_queued(conn, queued_id))
        if queued.phase is Phase.REPLACED:
            raise TransactionReplaced(queued.sender, queued.nonce or 0)
        if queued.phase is Phase.CANCELLED:
            raise TransactionCancelled(queued.purpose, queued.final or b"", queued.problem)
        if queued.phase is Phase.REVERTED:
            raise Reverted(queued.problem) if queued.final is None else TransactionFailed(queued.final)
        if queued.phase is Phase.DONE and queued.final is not None:
            return await self._chain.rpc.receipt(queued.final)
        if queued.phase in SENT and depth < self._chain.deployment.confirmations:
            receipt = await verdicts.find_mined(self._chain, self._attempts(queued), depth)
            if receipt is not None:
                return receipt
        reason = self._waiting.get(queued_id)
        if reason is not None and not isinstance(reason, ChainUnreachable | NodeRefused):
            raise reason
        return None

    def _refusal(self, queued_id: int) -> NodeRefused | None:
        """Why nodes have not taken it; what they say may change by itself."""
        reason = self._waiting.get(queued_id)
        return reason if isinstance(reason, NodeRefused) else None

    async def _last_hash(self, queued_id: int) -> bytes:
        attempts = self._attempts(self._database.read(lambda conn: store.load_queued(conn, queued_id)))
        return attempts[-1].signed.hash if attempts else b""

    def _attempts(self, queued: Queued) -> list[Attempt]:
        return self._database.read(lambda conn: store.list_attempts(conn, queued))


def stuck_after(deployment: Deployment) -> float:
    """After how many seconds an attempt is dearer: a part of the challenge period, where that is short."""
    return min(STUCK_SECONDS, deployment.challenge_period / RAISES)


def _cost(queued: Queued, fees: Fees) -> int:
    """The most wei the next attempt may take."""
    value = 0 if queued.phase is Phase.CANCELLING else queued.call.value
    return _gas(queued) * fees.cap + value


def _gas(queued: Queued) -> int:
    """The gas limit of the next attempt."""
    return TRANSFER_GAS if queued.phase is Phase.CANCELLING else queued.gas
